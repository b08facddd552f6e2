"""No secret reaches the log, at any level, or an answer."""

import re

import pytest

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
