"""Object stores are called with the credentials of the environment, as docs/storage.md says."""

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from app.images.objects import ObstoreObjects


@pytest.fixture
def bucket():
    """A server that accepts every object; returns it and the requests that it got."""
    requests: list[tuple[str, str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self):
            self.rfile.read(int(self.headers["content-length"]))
            requests.append((self.command, self.path, self.headers.get("authorization", "")))
            self.send_response(200)
            self.send_header("etag", '"1"')
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", requests
    server.shutdown()
    thread.join()
    server.server_close()


def test_requests_to_s3_are_signed_with_the_key_of_the_environment(monkeypatch, bucket):
    address, requests = bucket
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-the-test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")

    asyncio.run(ObstoreObjects("s3://shop-pictures/lookalike").put("pictures/1", b"content"))

    ((method, path, authorization),) = requests
    assert (method, path) == ("PUT", "/shop-pictures/lookalike/pictures/1")
    assert authorization.startswith("AWS4-HMAC-SHA256 Credential=key-of-the-test/")
    assert "/eu-central-1/s3/" in authorization
