"""What the connection makes of a server that answers wrongly, in part, slowly, or not at all."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from app.domain.errors import IndexUnavailable
from app.remote.connection import EngineAddress, EngineConnection
from tests.fixtures.proxies import make_certificate

FACTS = b"26.9.1.1\tUTC\t0\n"
ROWS = b"\x01\x02\x01a\x06UInt64" + bytes(8) + b"\x01" + bytes(7)
"""One block of two rows in the native format: 0 and 1."""


class Gateway(BaseHTTPRequestHandler):
    """Answers the client's first questions as a server does, and all others with ``answer``."""

    answer = staticmethod(lambda handler: handler.send(200, ROWS))

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0))) + self.path.encode()
        if b"version()" in sent:
            self.send(200, FACTS)
        elif b"system.settings" in sent or b"system.build_options" in sent:
            self.send(200, b"")
        else:
            self.answer(self)

    def send(self, status: int, content: bytes, missing: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) + missing))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, *arguments: object) -> None:
        """Say nothing of clients that go away, as they should."""


@contextmanager
def serving() -> Iterator[ThreadingHTTPServer]:
    server = QuietServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def gateway() -> Iterator[ThreadingHTTPServer]:
    with serving() as server:
        yield server


def connected(server: ThreadingHTTPServer, deadline_s: float = 5.0, **options) -> EngineConnection:
    address = f"{options.pop('scheme', 'http')}://127.0.0.1:{server.server_address[1]}"
    return EngineConnection(EngineAddress(address, "db", deadline_s=deadline_s, **options))


def refusal(connection: EngineConnection, work: Callable[[EngineConnection], object]) -> str:
    with pytest.raises(IndexUnavailable) as refused:
        work(connection)
    connection.close()
    assert refused.value.retry_after_s >= 1
    assert "127.0.0.1" not in refused.value.detail
    return refused.value.detail


def answers(status: int, content: bytes, missing: int = 0) -> Callable[[Gateway], None]:
    return lambda handler: handler.send(status, content, missing)


def drip(handler: Gateway) -> None:
    """Send a byte each tenth of a second, until the client has gone."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"\x01")
            time.sleep(0.1)
    except OSError:
        handler.close_connection = True


BROKEN = "incomplete"
OLD = "version may be too old"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answers(500, b"oops"), "did not respond"),
        (answers(502, b"<html>Bad gateway</html>"), "did not respond"),
        (answers(200, b"<html>Sign in</html>"), BROKEN),
        (answers(200, ROWS[:-3]), BROKEN),
        (answers(200, ROWS[: len(ROWS) // 2]), BROKEN),
        (answers(200, bytes((byte * 7 + 13) % 256 for byte in ROWS)), BROKEN),
        (answers(200, ROWS, missing=9), BROKEN),
        (answers(500, b"Code: 243. DB::Exception: Cannot reserve (NOT_ENOUGH_SPACE)"), "disk is full"),
        (answers(500, b"Code: 241. DB::Exception: (MEMORY_LIMIT_EXCEEDED)"), "memory of a statement"),
        (answers(500, b"Code: 60. DB::Exception: (UNKNOWN_TABLE)"), "tables are missing"),
        (answers(404, b"Code: 47, e.displayText() = DB::Exception: Unknown identifier: x"), OLD),
    ],
)
def test_a_wrong_answer_is_an_unavailable_index_with_a_reason(gateway, monkeypatch, answer, reason):
    monkeypatch.setattr(Gateway, "answer", staticmethod(answer))
    assert reason in refusal(connected(gateway), lambda connection: connection.query("SELECT 1"))


def test_a_whole_answer_is_read(gateway, monkeypatch):
    monkeypatch.setattr(Gateway, "answer", staticmethod(answers(200, ROWS)))
    connection = connected(gateway)
    assert connection.query("SELECT a") == [(0,), (1,)]
    connection.close()


def test_no_row_where_there_always_is_one_is_a_broken_answer(gateway, monkeypatch):
    monkeypatch.setattr(Gateway, "answer", staticmethod(answers(200, b"")))
    assert BROKEN in refusal(connected(gateway), lambda connection: connection.row("SELECT count() FROM t"))


def test_an_answer_that_drips_ends_at_the_deadline(gateway, monkeypatch):
    monkeypatch.setattr(Gateway, "answer", staticmethod(drip))
    # A read timeout alone would never pass, as each byte renews it.
    monkeypatch.setattr("app.remote.connection.GRACE_S", 0)
    reason = refusal(connected(gateway, deadline_s=1), lambda connection: connection.query("SELECT 1"))
    assert "the index engine cannot answer" in reason


def test_a_certificate_that_is_not_trusted_is_named_and_trusted_with_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(Gateway, "answer", staticmethod(answers(200, ROWS)))
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        untrusted = connected(server, scheme="https")
        assert "certificate is not trusted" in refusal(untrusted, lambda one: one.query("SELECT a"))
        trusted = connected(server, scheme="https", ca_file=certificate)
        assert trusted.query("SELECT a") == [(0,), (1,)]
        trusted.close()


def test_no_server_and_one_without_tls_are_named(gateway):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nobody = EngineConnection(EngineAddress(f"http://127.0.0.1:{port}", "db"))
    assert "refuses connections" in refusal(nobody, lambda connection: connection.query("SELECT 1"))
    refusal(connected(gateway, scheme="https"), lambda connection: connection.query("SELECT 1"))
