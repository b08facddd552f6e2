"""A refusal reaches clients that send all of their body before they read."""

import json
import os
import socket
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import httpx2
import pytest
from typer.testing import CliRunner

from app.cli.main import app as cli
from lookalike_client import Client, ServiceError
from tests.api.conftest import draw
from tests.fixtures.server import start_server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    limits = {"LOOKALIKE_MAX_UPLOAD_BYTES": "1000000", "LOOKALIKE_MAX_JSON_BYTES": "100000"}
    server = start_server(tmp_path_factory.mktemp("refusals"), env=limits)
    yield server
    server.stop()
    server.process.stdout.close()


def form(size: int) -> bytes:
    head = b'--zz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    return head + os.urandom(size) + b"\r\n--zz--\r\n"


@pytest.mark.parametrize(
    ("path", "kind", "body", "code"),
    [
        ("/search", "multipart/form-data; boundary=zz", form(30_000_000), "image_too_large"),
        ("/images/a", "image/png", os.urandom(30_000_000), "image_too_large"),
        ("/index", "application/json", b" " * 30_000_000, "request_too_large"),
        ("/collections", "application/json", b" " * 30_000_000, "request_too_large"),
    ],
)
@pytest.mark.parametrize("declared", [True, False])
def test_a_client_that_sends_all_of_it_first_reads_the_413(server, path, kind, body, code, declared):
    content = body if declared else iter([body[i : i + 1_000_000] for i in range(0, len(body), 1_000_000)])
    method = "PUT" if path.startswith("/images") else "POST"
    request = urllib.request.Request(server.url + path, content, {"content-type": kind}, method=method)

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 413
    assert json.loads(refused.value.read())["code"] == code


def test_the_client_and_the_command_say_why(server, tmp_path):
    picture = tmp_path / "large.jpg"
    picture.write_bytes(b"\xff\xd8\xff" + os.urandom(5_000_000))
    with Client(server.url) as client, pytest.raises(ServiceError, match="image_too_large"):
        client.search_by_upload(picture)

    said = CliRunner().invoke(cli, ["search", str(picture), "--url", server.url])
    assert isinstance(said.exception, ServiceError)
    assert "image_too_large" in str(said.exception)


def test_who_asks_for_leave_first_is_not_waited_for(server):
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as peer:
        peer.sendall(
            b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=zz\r\n"
            b"Content-Length: 90000000\r\nExpect: 100-continue\r\n\r\n"
        )
        answer = b""
        while piece := peer.recv(65_536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 413")


def test_a_body_shorter_than_declared_adds_nothing(server):
    address = urlsplit(server.url)
    for kind, content in (("image/png", b"\x89PNG"), ("multipart/form-data; boundary=zz", form(100))):
        with socket.create_connection((address.hostname, address.port), timeout=30) as peer:
            head = f"PUT /images/short HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
            peer.sendall(head.encode() + b"Content-Length: 100000\r\n\r\n" + content)
    assert httpx2.get(f"{server.url}/images/short").status_code == 404


def test_head_over_a_real_connection_is_no_defect_and_leaves_it_usable(server):
    picture = draw(1)
    paths = (
        "/",
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/images/h/content",
        "/images/h/thumbnail",
        "/nowhere",
    )
    with server.client() as client:
        client.put("/images/h", content=picture)
        for path in paths:
            told, asked = client.head(path), client.get(path)
            assert (told.status_code, told.content) == (asked.status_code, b"")
            assert path == "/nowhere" or told.headers["content-length"] == str(len(asked.content))
    assert b"request_failed" not in server.log.read_bytes()
    assert b"Exception in ASGI" not in server.log.read_bytes()


def test_head_of_an_event_stream_and_an_export_ends(server):
    with Client(server.url) as client:
        client.create_collection("exported")
    job = httpx2.post(f"{server.url}/admin/jobs/verify", json={}).json()

    for path in (job["links"]["events"], "/export?collection=exported"):
        answer = httpx2.head(server.url + path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert httpx2.get(f"{server.url}/healthz").status_code == 200
    assert b"request_failed" not in server.log.read_bytes()
