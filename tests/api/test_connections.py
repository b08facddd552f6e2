"""Each step of a connection has a limit, and who keeps to the limits is answered meanwhile."""

import contextlib
import json
import re
import resource
import socket
import threading

import pytest
import uvicorn

from app.api.connections import MAX_PIPELINED, ConnectionLimits, Connections
from app.api.descriptors import RESERVED, affordable_connections, raise_descriptor_limit
from app.telemetry.metrics import CONNECTIONS_CLOSED

LARGE = 20_000_000


async def application(scope, receive, send) -> None:
    """Answers ``/large`` with more than any buffer holds, ``/early`` before it reads, ``/host…`` with host and
    target, and else with what it read.
    """
    size = 0
    if scope["path"] != "/early":
        more = scope["method"] == "POST"
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
    body = b"x" * LARGE if scope["path"] == "/large" else b"%d %d" % (size, len(scope["headers"]))
    if scope["path"].startswith("/host"):
        hosts = b",".join(value for name, value in scope["headers"] if name == b"host")
        body = hosts + b" " + scope["raw_path"] + b"?" + scope["query_string"]
    head = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    for start in range(0, len(body), 65_536):
        piece = body[start : start + 65_536]
        more = start + 65_536 < len(body)
        await send({"type": "http.response.body", "body": piece, "more_body": more})


@contextlib.contextmanager
def serving(**limits):
    """The address of a server with small limits."""
    small = {
        "max_connections": 50,
        "max_connections_per_address": 50,
        "max_head_bytes": 4_096,
        "head_timeout_s": 0.5,
        "idle_timeout_s": 0.5,
        "write_timeout_s": 0.5,
        "max_unread_bytes": 100_000,
    }
    connections = Connections(ConnectionLimits(**{**small, **limits}), cors_origins=["https://shop.example"])
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application, http=connections.protocol(), ws="none", lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join(30)
    listener.close()


@pytest.fixture(scope="module")
def address():
    with serving() as address:
        yield address


def connect(address, **options) -> socket.socket:
    peer = socket.create_connection(address, timeout=30)
    for option, value in options.items():
        peer.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
    return peer


def read_all(peer: socket.socket) -> bytes:
    """Everything until the server closes the connection; a reset ends it too."""
    answer = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while piece := peer.recv(65_536):
            answer += piece
    return answer


def flood(peer: socket.socket, piece: bytes, most: int) -> int:
    """Send a piece again and again until the server cuts the connection; how many bytes it took."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < most:
            peer.sendall(piece)
            sent += len(piece)
    return sent


def get(address, path: str = "/", head: bytes = b"") -> bytes:
    with connect(address) as peer:
        peer.sendall(
            b"GET " + path.encode() + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + head + b"\r\n"
        )
        return read_all(peer)


def cuts(reason: str) -> float:
    return CONNECTIONS_CLOSED.labels(reason)._value.get()


GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (GET, b"X-Long: " + b"a" * 1_000 + b"\r\n"),
        (GET, b"a:b\r\n" * 100),
        (GET + b"X-One: ", b"a" * 10_000),
        (GET, b"a" * 10_000),
        (b"GET /?", b"a" * 10_000),
        (b"", b"A" * 10_000),
        (POST + b"1;", b"a" * 10_000),
        (POST + b"1\r\na\r\n0\r\n", b"X-Trailer: " + b"a" * 100 + b"\r\n"),
    ],
)
def test_an_endless_head_is_cut(address, begin, piece):
    with connect(address) as peer:
        peer.sendall(begin)
        assert flood(peer, piece, 100_000_000) < 50_000_000
    assert b"200 OK" in get(address)


def test_a_head_that_is_too_large_is_told_so(address):
    for head in (b"X-Long: " + b"a" * 5_000 + b"\r\n", b"a:b\r\n" * 101):
        answer = get(address, head=head)
        assert answer.startswith(b"HTTP/1.1 431")
        assert b'"code":"request_head_too_large"' in answer
    assert get(address, path="/" + "a" * 5_000).startswith(b"HTTP/1.1 431")


def test_a_refusal_is_told_once_whatever_follows_it(address):
    with connect(address) as peer:
        peer.sendall(GET + b"a:b\r\n" * 20_000)
        assert read_all(peer).count(b"HTTP/1.1 ") == 1


def test_a_head_within_the_limits_is_taken(address):
    assert b"200 OK" in get(address, head=b"X-Long: " + b"a" * 3_000 + b"\r\n")
    assert b"200 OK" in get(address, head=b"a:b\r\n" * 90)


def test_a_malformed_request_is_400(address):
    with connect(address) as peer:
        peer.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert read_all(peer).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "request_",
    [
        POST + b"-1\r\nx\r\n",
        POST + b"fffffffffffffffff\r\nx\r\n",
        POST + b"3\r\nabcdef\r\n",
        POST + b"3\r\nabc\r\n0\r\nContent Length: 5\r\n\r\n",
        POST.replace(b"chunked", b"identity"),
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_a_request_that_is_malformed_behind_its_head_is_answered_too(address, request_):
    with connect(address) as peer:
        peer.sendall(request_)
        peer.settimeout(5)
        assert read_all(peer).startswith(b"HTTP/1.1 400")


def test_a_refusal_has_the_headers_and_members_of_other_problems(address):
    answer = get(address, head=b"Origin: https://shop.example\r\nX-Long: " + b"a" * 5_000 + b"\r\n")

    head, _, body = answer.partition(b"\r\n\r\n")
    headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    problem = json.loads(body)
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"cross-origin-resource-policy"] == b"cross-origin"
    assert headers[b"access-control-allow-origin"] == b"https://shop.example"
    assert headers[b"connection"] == b"close"
    assert headers[b"x-request-id"].decode() == problem["request_id"]
    assert set(problem) == {
        "type", "title", "status", "detail", "instance", "code", "request_id", "errors"
    }  # fmt: skip
    other = get(address, head=b"Origin: https://other.example\r\nX-Long: " + b"a" * 5_000 + b"\r\n")
    assert b"access-control-allow-origin" not in other


UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
UPGRADES = {
    "none": b"GET / HTTP/1.1\r\nHost: a\r\n" + UPGRADE + b"\r\n",
    "empty": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" + UPGRADE + b"\r\n",
    "length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n"
    + UPGRADE
    + b"\r\n"
    + GET
    + b"\r\n"
    + b"x" * 13,
    "chunks": POST[:-2] + UPGRADE + b"\r\n3\r\nabc\r\n2;e\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n",
    "websocket": b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("is_split", [False, True])
def test_a_request_for_another_protocol_is_answered_whole_and_followed(address, is_split):
    requests = b"".join(UPGRADES.values()) + GET + b"Connection: close\r\n\r\n"
    with connect(address) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in [requests[i : i + 1] for i in range(len(requests))] if is_split else [requests]:
            peer.sendall(piece)
        answers = read_all(peer)
    assert answers.count(b"HTTP/1.1 200 OK") == len(UPGRADES) + 1
    bodies = re.findall(rb"(?<=\r\n\r\n)\d+(?= )", answers)
    assert bodies == [b"0", b"0", b"40", b"5", b"0", b"0"]


def test_a_malformed_body_behind_an_upgrade_is_400(address):
    with connect(address) as peer:
        peer.sendall(POST[:-2] + UPGRADE + b"\r\nzz\r\n")
        assert read_all(peer).startswith(b"HTTP/1.1 400")


def test_trailers_never_reach_the_application(address):
    with connect(address) as peer:
        peer.sendall(POST + b"3\r\nabc\r\n0\r\nIdempotency-Key: a\r\n\r\n")
        peer.shutdown(socket.SHUT_RD)
    with connect(address) as peer:
        peer.sendall(POST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        peer.sendall(b"3\r\nabc\r\n0\r\nIdempotency-Key: a\r\n\r\n")
        assert read_all(peer).endswith(b"3 3")


@pytest.mark.parametrize("begin", [b"", b"G", GET, GET + b"X-A: a"])
def test_a_head_that_does_not_come_is_cut(address, begin):
    with connect(address) as peer:
        peer.sendall(begin)
        answer = read_all(peer)
    assert answer.startswith(b"HTTP/1.1 408") == bool(begin)


def test_a_head_that_drips_is_cut(address):
    stop = threading.Event()
    with connect(address) as peer:
        peer.sendall(GET + b"X-A: ")

        def drip():
            with contextlib.suppress(OSError):
                while not stop.wait(0.05):
                    peer.sendall(b"a")

        thread = threading.Thread(target=drip)
        thread.start()
        assert b"408" in read_all(peer)
        stop.set()
        thread.join()


def test_a_connection_without_a_next_request_is_cut(address):
    with connect(address) as peer:
        peer.sendall(GET + b"\r\n")
        assert read_all(peer).startswith(b"HTTP/1.1 200")


def test_requests_follow_each_other_on_one_connection(address):
    with connect(address) as peer:
        for size in (0, 10, 200_000, 3):
            peer.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
            assert peer.recv(65_536).endswith(b"%d 2" % size)


def test_pipelined_requests_are_answered_within_a_bound(address):
    with connect(address) as peer:
        peer.sendall((GET + b"\r\n") * 30)
        assert read_all(peer).count(b"200 OK") == 30
    with connect(address) as peer:
        flood(peer, (GET + b"\r\n") * 5_000, 200_000)
        assert read_all(peer).count(b"200 OK") < 5_000
    assert b"200 OK" in get(address)


def test_pipelined_requests_up_to_the_bound_are_answered_and_the_last_answer_closes(address):
    with connect(address) as peer:
        peer.sendall((GET + b"\r\n") * 200)
        answers = read_all(peer).split(b"HTTP/1.1 ")[1:]
    assert [answer[:6] for answer in answers] == [b"200 OK"] * (MAX_PIPELINED + 1)
    assert b"connection: close" in answers[-1]
    assert b"connection: close" not in b"".join(answers[:-1])


@pytest.mark.parametrize("rest", [b"\x16\x03\x01 nonsense\r\n\r\n", GET + b"X: " + b"a" * 5_000 + b"\r\n\r\n"])
def test_a_complete_request_is_answered_whatever_follows_it(address, rest):
    with connect(address) as peer:
        peer.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + rest)
        peer.settimeout(5)
        answer = read_all(peer)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"3 2")


def test_a_body_that_goes_on_after_its_answer_is_dropped_within_a_bound(address):
    head = b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\n\r\n"
    before = cuts("body_too_large")
    with connect(address) as peer:
        peer.sendall(head)
        assert peer.recv(65_536).startswith(b"HTTP/1.1 200")
        assert flood(peer, b"x" * 65_536, 90_000_000) < 90_000_000
    assert cuts("body_too_large") > before
    with connect(address) as peer:
        peer.sendall(head)
        assert read_all(peer).startswith(b"HTTP/1.1 200")


def test_a_client_that_does_not_read_is_cut(address):
    before = cuts("not_reading")
    # Through a smaller window, reading what the kernels hold would take more than a minute.
    with connect(address, SO_RCVBUF=65_536) as peer:
        peer.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        done = threading.Event()
        for _ in range(600):
            if cuts("not_reading") > before:
                done.set()
                break
            threading.Event().wait(0.05)
        assert done.is_set()
        assert len(read_all(peer)) < LARGE


def test_a_client_that_reads_slowly_is_served(address):
    with connect(address) as peer:
        peer.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        size = 0
        while piece := peer.recv(1_000_000):
            size += len(piece)
            threading.Event().wait(0.01)
    assert size > LARGE


@pytest.mark.parametrize("limits", [{"max_connections": 10}, {"max_connections_per_address": 10}])
def test_silent_connections_make_room_for_those_that_ask(limits):
    with serving(**limits, head_timeout_s=600, idle_timeout_s=600) as address, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(address)) for _ in range(40)]
        for _ in range(20):
            assert b"200 OK" in get(address)
        # The oldest were cut.
        assert read_all(silent[0]) == b""


def test_one_more_than_all_that_are_busy_is_503():
    with serving(max_connections=5, write_timeout_s=600) as address, contextlib.ExitStack() as stack:
        for _ in range(5):
            peer = stack.enter_context(connect(address, SO_RCVBUF=4_096))
            peer.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            assert peer.recv(10).startswith(b"HTTP/1.1 2")
        refused = get(address)
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"\r\nretry-after: 1\r\n" in refused
        stack.close()
        for _ in range(200):
            if b"200 OK" in get(address):
                break
            threading.Event().wait(0.05)
        assert b"200 OK" in get(address)


def test_connections_leave_descriptors_for_the_rest():
    assert affordable_connections(1000, 1024) == 1024 - RESERVED
    assert affordable_connections(1000, 20_000) == 1000
    assert affordable_connections(1000, 100) == 16


def test_the_soft_limit_of_descriptors_is_raised():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, hard), hard))
    try:
        assert raise_descriptor_limit() >= 512
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


CHUNKS = b"3\r\nabc\r\n0\r\n\r\n"


def post(headers: bytes, *, version: bytes = b"1.1") -> bytes:
    return b"POST / HTTP/" + version + b"\r\nHost: a\r\n" + headers + b"\r\n" + CHUNKS


def refused(address, request: bytes) -> dict:
    """The problem with which the server answers a request before it closes the connection."""
    with connect(address) as peer:
        # What follows must not be taken for a request.
        peer.sendall(request + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = read_all(peer)
    assert answer.count(b"\r\n\r\n") == 1
    assert b"connection: close" in answer
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert answer.startswith(b"HTTP/1.1 %d " % body["status"])
    return body


@pytest.mark.parametrize(
    "codings",
    [
        b"identity",
        b"",
        b"gzip",
        b"chunked, gzip",
        b"chunked, chunked",
        b"identity, chunked",
        b", chunked",
        b"chunked,",
        b"g z, chunked",
        b"chunked;q=1",
        b"chunked\r\nTransfer-Encoding: chunked",
        b"gzip\r\nTransfer-Encoding: chunked",
        b"chunked\r\nContent-Length: 3",
    ],
)
@pytest.mark.parametrize("upgrade", [b"", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"])
def test_a_body_whose_end_is_not_certain_is_400(address, codings, upgrade):
    assert refused(address, post(upgrade + b"Transfer-Encoding: " + codings + b"\r\n"))["status"] == 400


def test_a_length_before_a_transfer_coding_is_400_too(address):
    head = b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"

    assert refused(address, post(head))["status"] == 400


@pytest.mark.parametrize("codings", [b"gzip, chunked", b"GZIP,Chunked", b"br, gzip, chunked"])
def test_a_transfer_coding_that_is_not_supported_is_501(address, codings):
    problem = refused(address, post(b"Transfer-Encoding: " + codings + b"\r\n"))

    assert (problem["status"], problem["code"]) == (501, "not_implemented")
    assert "chunked" in problem["detail"]


@pytest.mark.parametrize("codings", [b"chunked", b"Chunked", b"CHUNKED "])
def test_a_chunked_body_is_read(address, codings):
    with connect(address) as peer:
        peer.sendall(post(b"Connection: close\r\nTransfer-Encoding: " + codings + b"\r\n"))
        assert read_all(peer).endswith(b"3 3")


def test_chunks_need_http_1_1(address):
    problem = refused(address, post(b"Transfer-Encoding: chunked\r\n", version=b"1.0"))

    assert problem["status"] == 400
    assert "HTTP/1.1" in problem["detail"]


@pytest.mark.parametrize("version", [b"0.9", b"2.0"])
def test_another_version_of_http_is_505(address, version):
    problem = refused(address, b"GET / HTTP/" + version + b"\r\nHost: a\r\n\r\n")

    assert (problem["status"], problem["code"]) == (505, "http_version_not_supported")


@pytest.mark.parametrize(
    "hosts",
    [
        b"",
        b"Host: a\r\nHost: a\r\n",
        b"Host: a\r\nhost: b\r\n",
        b"Host: a/b\r\n",
        b"Host: a, b\r\n",
        b"Host: u@a\r\n",
        b"Host: a:b\r\n",
        b"Host: [::1\r\n",
        b"Host: a b\r\n",
        b"Host: \xff\r\n",
    ],
)
def test_a_request_has_one_valid_host(address, hosts):
    problem = refused(address, b"GET / HTTP/1.1\r\n" + hosts + b"\r\n")

    assert problem["status"] == 400
    assert "Host" in problem["detail"]


@pytest.mark.parametrize(
    ("request_", "seen"),
    [
        (b"GET /host HTTP/1.1\r\nHost: a:80", b"a:80 /host?"),
        (b"GET /host HTTP/1.1\r\nHost: [::1]:80", b"[::1]:80 /host?"),
        (b"GET /host HTTP/1.1\r\nHost:", b" /host?"),
        (b"GET /host HTTP/1.0", b" /host?"),
        (b"GET http://b:81/host/%61?x=/y HTTP/1.1\r\nHost: a", b"b:81 /host/%61?x=/y"),
        (b"GET HTTPS://b/host HTTP/1.1\r\nX: y\r\nHost: a", b"b /host?"),
        (b"GET http://b/host HTTP/1.0", b"b /host?"),
        (b"GET /host?u=http://b/ HTTP/1.1\r\nHost: a", b"a /host?u=http://b/"),
    ],
)
def test_the_host_of_a_target_replaces_the_header(address, request_, seen):
    with connect(address) as peer:
        peer.sendall(request_ + b"\r\nConnection: close\r\n\r\n")
        assert read_all(peer).partition(b"\r\n\r\n")[2] == seen


@pytest.mark.parametrize("target", [b"http://b", b"http://b?x=/y"])
def test_a_target_without_a_path_means_the_root(address, target):
    with connect(address) as peer:
        peer.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert read_all(peer).endswith(b"\r\n\r\n0 2")


@pytest.mark.parametrize(
    "target", [b"ftp://b/", b"http:///host", b"http://:80/host", b"http://a@b/host", b"http://b:x/", b"b:80"]
)
def test_a_target_that_no_address_of_the_service_has_is_400(address, target):
    assert refused(address, b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")["status"] == 400
