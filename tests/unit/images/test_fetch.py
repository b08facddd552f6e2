"""Fetching by URL reaches the hosts it may and nothing else, whatever a name or a redirect says."""

import http.server
import ipaddress
import socket
import threading
import time

import pytest

from app.domain.errors import FetchFailed, ImageTooLarge, UrlNotAllowed
from app.images.addresses import is_public
from app.images.fetch import Fetcher

LOOPBACK = ipaddress.ip_address("127.0.0.1")


class Trap(http.server.BaseHTTPRequestHandler):
    """Answers by path and counts every request."""

    hits: list[str]

    def do_GET(self):
        self.hits.append(f"{self.headers['host']}{self.path}")
        kind, _, rest = self.path[1:].partition("/")
        if kind == "to":
            self.send_response(302)
            self.send_header("Location", rest)
            self.end_headers()
        elif kind == "slow":
            self.send_response(200)
            self.end_headers()
            # Until the client hangs up.
            while True:
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)
        elif kind == "large":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * 5_000)
        elif kind == "missing":
            self.send_error(404)
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"picture")

    def log_message(self, *_):
        pass


@pytest.fixture
def trap():
    handler = type("Handler", (Trap,), {"hits": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def resolving(**addresses):
    """Looks names up in a table; each name's list is gone through call by call."""
    calls = dict.fromkeys(addresses, 0)

    def resolve(host, port, **_):
        name = host.replace(".", "_")
        if name not in addresses:
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found = addresses[name][min(calls[name], len(addresses[name]) - 1)]
        calls[name] += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    return resolve


def fetcher(trap, *, hosts=(), timeout_s=5.0, **options) -> Fetcher:
    port = trap.server_address[1]
    return Fetcher([f"{host}:{port}" for host in hosts], timeout_s=timeout_s, **options)


def url(trap, path: str = "", host: str = "pictures.example") -> str:
    return f"http://{host}:{trap.server_address[1]}/{path}"


def local(trap, **options) -> Fetcher:
    """A fetcher for which the trap's address counts as public."""
    return fetcher(
        trap,
        hosts=["pictures.example"],
        may_connect=lambda address: address == LOOPBACK or is_public(address),
        resolve=resolving(pictures_example=[["127.0.0.1"]], other_example=[["127.0.0.1"]]),
        **options,
    )


def test_a_listed_host_is_fetched_from_under_its_name(trap):
    assert local(trap).fetch_blocking(url(trap, "a.jpg"), 1000) == b"picture"
    assert trap.RequestHandlerClass.hits == [f"pictures.example:{trap.server_address[1]}/a.jpg"]


def test_a_redirect_to_a_listed_host_is_followed(trap):
    assert local(trap).fetch_blocking(url(trap, "to//a.jpg"), 1000) == b"picture"


FORMS_OF_LOOPBACK = [
    "127.0.0.1", "localhost", "0.0.0.0", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::1]",
    "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "127.0.0.1.", "LOCALHOST",
]  # fmt: skip


@pytest.mark.parametrize("host", FORMS_OF_LOOPBACK)
def test_no_form_of_this_machine_s_address_is_reached(trap, host):
    port = trap.server_address[1]
    listed = Fetcher([f"{host.strip('[]').lower().rstrip('.')}:{port}", "*"], timeout_s=2)

    for where in (f"http://{host}:{port}/", f"http://{host}/"):
        with pytest.raises((UrlNotAllowed, FetchFailed)):
            listed.fetch_blocking(where, 1000)
    assert trap.RequestHandlerClass.hits == []


@pytest.mark.parametrize(
    "bad",
    [
        "", "a.jpg", "//pictures.example/a.jpg", "ftp://pictures.example/a", "file:///etc/passwd", "gopher://x/",
        "http://", "http:///a", "http://user:secret@pictures.example/", "http://user@pictures.example/",
        "http://pictures.example:0/", "http://pictures.example:99999/", "http://pictures.example:80a/",
        "http://pictures.example/\r\nX: y", "http://pictures .example/", "http://pictures.example\\@evil/",
        "http://[::1", "http://ｐictures.example/", "jar:http://x!/", "data:image/png;base64,AAAA",
        "http://pictures.example/" + "a" * 3000,
    ],
)  # fmt: skip
def test_what_is_no_plain_url_is_refused(trap, bad):
    with pytest.raises(UrlNotAllowed):
        local(trap).fetch_blocking(bad, 1000)
    assert trap.RequestHandlerClass.hits == []


@pytest.mark.parametrize(
    "where",
    [
        "http://127.0.0.1:{port}/",
        "http://other.example:{port}/",
        "file:///etc/passwd",
        "http://169.254.169.254/",
    ],
)
def test_a_redirect_is_checked_like_the_first_address(trap, where):
    target = where.format(port=trap.server_address[1])

    with pytest.raises(UrlNotAllowed):
        local(trap).fetch_blocking(url(trap, f"to/{target}"), 1000)
    assert len(trap.RequestHandlerClass.hits) == 1


def test_redirects_end(trap):
    with pytest.raises(FetchFailed, match="redirects"):
        local(trap).fetch_blocking(url(trap, "to/" * 10), 1000)


def test_a_name_that_also_leads_here_is_refused(trap):
    mixed = fetcher(
        trap, hosts=["pictures.example"], resolve=resolving(pictures_example=[["93.184.216.34", "127.0.0.1"]])
    )

    with pytest.raises(UrlNotAllowed):
        mixed.fetch_blocking(url(trap), 1000)


def test_a_name_that_changes_its_address_is_not_asked_again(trap):
    """Rebinding: the first look-up gives a public address, the second would give this machine's."""
    seen = []

    def may_connect(address):
        seen.append(str(address))
        return is_public(address)

    changing = fetcher(
        trap,
        hosts=["pictures.example"],
        may_connect=may_connect,
        resolve=resolving(pictures_example=[["192.0.2.1"], ["127.0.0.1"]]),
    )

    with pytest.raises(UrlNotAllowed):
        changing.fetch_blocking(url(trap), 1000)
    assert seen == ["192.0.2.1"]
    assert trap.RequestHandlerClass.hits == []


def test_size_time_and_status_are_bounded(trap):
    with pytest.raises(ImageTooLarge):
        local(trap).fetch_blocking(url(trap, "large/"), 1_000)
    with pytest.raises(FetchFailed):
        local(trap, timeout_s=0.4).fetch_blocking(url(trap, "slow/"), 100_000)
    with pytest.raises(FetchFailed, match="404"):
        local(trap).fetch_blocking(url(trap, "missing/"), 1_000)


def test_a_host_that_is_not_listed_is_not_even_looked_up(trap):
    def resolve(*_, **__):
        raise AssertionError("looked up")

    with pytest.raises(UrlNotAllowed):
        Fetcher(["pictures.example"], timeout_s=1, resolve=resolve).fetch_blocking("http://evil.example/", 1000)


@pytest.fixture
def dripping():
    """A host that sends the head of its answer line by line, and ends it after a while."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        peer, _ = listener.accept()
        with peer:
            try:
                peer.recv(65_536)
                peer.sendall(b"HTTP/1.1 200 OK\r\n")
                for i in range(15):
                    time.sleep(0.1)
                    peer.sendall(b"X-%d: a\r\n" % i)
                peer.sendall(b"Content-Length: 7\r\n\r\npicture")
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener
    listener.close()
    thread.join()


def host_of(listener) -> str:
    return f"127.0.0.1:{listener.getsockname()[1]}"


def test_the_time_limit_covers_the_head(dripping):
    impatient = Fetcher([host_of(dripping)], timeout_s=0.4, may_connect=lambda _: True)

    with pytest.raises(FetchFailed, match="in time"):
        impatient.fetch_blocking(f"http://{host_of(dripping)}/", 1000)


def test_a_slow_head_within_the_time_limit_is_waited_for(dripping):
    patient = Fetcher([host_of(dripping)], timeout_s=30, may_connect=lambda _: True)

    assert patient.fetch_blocking(f"http://{host_of(dripping)}/", 1000) == b"picture"


def test_the_time_limit_covers_the_look_up():
    done = threading.Event()

    def resolve(*_, **__):
        done.wait(30)
        return []

    stuck = Fetcher(["pictures.example"], timeout_s=0.2, resolve=resolve)
    with pytest.raises(FetchFailed, match="in time"):
        stuck.fetch_blocking("http://pictures.example/", 1000)
    done.set()
    stuck.close()


@pytest.mark.anyio
async def test_fetches_leave_the_common_threads_to_others():
    names = []

    def resolve(*_, **__):
        names.append(threading.current_thread().name)
        return []

    own = Fetcher(["pictures.example"], timeout_s=5, resolve=resolve)
    real = own.fetch_blocking

    def recorded(*arguments):
        names.append(threading.current_thread().name)
        return real(*arguments)

    own.fetch_blocking = recorded
    with pytest.raises(UrlNotAllowed):
        await own.fetch("http://pictures.example/", 1000)
    own.close()
    assert [name.split("_")[0] for name in names] == ["fetch", "resolve"]
