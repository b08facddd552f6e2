"""No secret reaches the log, at any level, or an answer."""

import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from app.cli.operations.checks.servers import check_schema
from app.settings import Settings
from tests.fixtures.forked import run_command
from tests.fixtures.pictures import encoded, photo
from tests.fixtures.server import start_server

BOOTSTRAP = "bootstrap-secret-4711-4711"
WRONG = "lk_0123456789ab_wrong-secret-4712"
COOKIE = "forged-session-4713"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    secrets = {"LOOKALIKE_BOOTSTRAP_ADMIN_KEY": BOOTSTRAP, "LOOKALIKE_LOG_LEVEL": "debug"}
    server = start_server(tmp_path_factory.mktemp("secrets"), env=secrets)
    yield server
    server.stop()
    server.process.stdout.close()


def test_secrets_stay_out_of_the_log_and_of_answers(server):
    answers = []
    with server.client() as http:
        key = {"Authorization": f"Bearer {BOOTSTRAP}"}
        answers += [
            http.get("/info", headers=key),
            http.get("/info", headers={"Authorization": f"Bearer {WRONG}"}),
            http.get("/info", headers={"X-API-Key": WRONG}),
            http.get("/info", headers={"Cookie": f"lookalike_session={COOKIE}"}),
            http.get(f"/info?key={WRONG}", headers=key),
            http.get("/images", params={"cursor": WRONG}, headers=key),
            http.put("/images/a", content=encoded(photo(), "PNG"), headers=key),
        ]
        session = http.post("/session", headers=key)
        assert session.status_code == 204
        cookie = re.search(r"lookalike_session=([^;]+)", session.headers["set-cookie"])[1]
        signed = http.get("/images/a", headers=key).json()["thumbnail_url"]
        signature = re.search(r"signature=([0-9a-f]+)", signed)[1]
        assert http.get(signed).status_code == 200
        answers.append(http.get(signed.replace(signature, "0" * len(signature))))
        http.cookies.clear()
        answers.append(http.get("/info", headers={"Cookie": f"lookalike_session={cookie}"}))
        answers.append(http.get("/metrics", headers=key))
    log = server.log.read_text()
    assert log.count('"request"') >= len(answers)
    for secret in (BOOTSTRAP, WRONG, COOKIE, cookie, signature):
        assert secret not in log
    for secret in (BOOTSTRAP, WRONG, COOKIE, cookie):
        assert not [answer.url for answer in answers if secret in answer.text]


OUTAGE = {
    "database": "database-secret-4714",
    "bucket": "bucket-secret-4715",
    "session": "bucket-session-4716",
    "counts": "counts-secret-4717",
    "proxy": "proxy-secret-4718",
    "url": "url-secret-4719",
}


class Relay:
    """A TCP port in front of a Unix socket that can be cut."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(self._target))
                self._ends += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    def _copy(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65_536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Refuse connections, and break those that there are."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def relay_to(url: str) -> Iterator[tuple[Relay, str]]:
    """Yield a relay to a Postgres of the tests, and the URL through it, with a password."""
    parts = urlsplit(url)
    [folder] = parse_qs(parts.query)["host"]
    relay = Relay(next(Path(folder).glob(".s.PGSQL.*[0-9]")))
    address = f"{parts.username}:{OUTAGE['database']}@127.0.0.1:{relay.port}{parts.path}"
    try:
        yield relay, f"postgresql+psycopg://{address}"
    finally:
        relay.cut()


def command(*arguments: str) -> str:
    """Return all that a command prints."""
    done = run_command(*arguments, env=os.environ)
    assert done.returncode != 0
    return done.stdout + done.stderr


@pytest.mark.postgres
def test_secrets_stay_hidden_while_database_object_store_and_redis_are_away(
    tmp_path, postgres_url, monkeypatch
):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
    with relay_to(postgres_url) as (relay, database_url):
        environment = {
            "LOOKALIKE_DATABASE_URL": database_url,
            "LOOKALIKE_PICTURES_URL": "s3://bucket/folder",
            "AWS_ACCESS_KEY_ID": "key-id",
            "AWS_SECRET_ACCESS_KEY": OUTAGE["bucket"],
            "AWS_SESSION_TOKEN": OUTAGE["session"],
            "AWS_ENDPOINT": f"http://{nobody}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "here",
            "LOOKALIKE_RATE_LIMIT_STORE": f"redis://:{OUTAGE['counts']}@{nobody}",
            "HTTP_PROXY": f"http://name:{OUTAGE['proxy']}@{nobody}",
            "HTTPS_PROXY": f"http://name:{OUTAGE['proxy']}@{nobody}",
            "NO_PROXY": "127.0.0.1",
            "LOOKALIKE_FETCH_HOSTS": "*",
            "LOOKALIKE_LOG_LEVEL": "debug",
            "LOOKALIKE_DATA_DIR": str(tmp_path / "data"),
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        server = start_server(tmp_path / "data", env=environment)
        shown = []
        try:
            with server.client() as http:
                shown.append(http.put("/images/a", content=encoded(photo(), "PNG")))
                url = {"url": f"https://name:{OUTAGE['url']}@pictures.example/a.jpg"}
                shown.append(http.post("/search/query", json=url))
                assert [answer.status_code for answer in shown] == [503, 422]
                relay.cut()
                upload = {"file": encoded(photo(), "PNG")}
                shown += [
                    http.post("/search", files=upload),
                    http.get("/images/a"),
                    http.delete("/images/a"),
                    http.get("/jobs"),
                    http.get("/readyz"),
                    http.get("/metrics"),
                    http.get("/admin/system"),
                    http.get("/info"),
                ]
                assert 503 in [answer.status_code for answer in shown[2:]]
                assert 500 not in [answer.status_code for answer in shown]
        finally:
            server.stop()
            server.process.stdout.close()
        everything = {"log": server.log.read_text()}
        everything |= {f"{answer.request.method} {answer.url}": answer.text for answer in shown}
        everything["doctor"] = doctor = str(list(check_schema(Settings())))
        everything["keys"] = command("keys", "list", "--json")

    assert "rates_not_counted" in everything["log"]
    assert "Traceback" not in everything["log"]
    assert "start the database" in doctor
    for text in everything.values():
        for name, secret in OUTAGE.items():
            assert secret not in text, name
