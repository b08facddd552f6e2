"""One caller is limited without others noticing, and told when it may go on."""

import asyncio

import pytest

from app.api.app import create_app
from app.api.middleware.callers import address_of
from app.domain.access import Scope
from app.services.access import guesses
from app.services.access.keys import Keys, Rights
from app.settings import Misconfigured, Settings
from tests.api.conftest import assert_problem, draw, local_client

KEY = "admin-key-of-the-tests-0001"


def limited(tmp_path, **settings) -> Settings:
    return Settings(data_dir=tmp_path / "data", decode_children=1, bootstrap_admin_key=KEY, **settings)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
    ],
)
def test_addresses_are_told_apart_by_what_one_subscriber_has(peer, address):
    assert address_of({"client": (peer, 1)}) == address


def test_requests_past_a_number_get_429_with_the_time_to_wait(tmp_path):
    settings = limited(tmp_path, max_requests_per_minute=5)
    with local_client(create_app(settings, load_first=True), headers=bearer(KEY)) as client:
        answers = [client.get("/collections") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 5
        left = [answer.headers["ratelimit"].split(";")[1] for answer in answers]
        assert left == ["r=4", "r=3", "r=2", "r=1", "r=0"]
        assert answers[0].headers["ratelimit-policy"] == '"requests";q=5;w=60'

        refused = client.get("/collections")
        assert_problem(refused, 429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["ratelimit"].startswith('"requests";r=0;t=')
        assert client.get("/healthz").status_code == 200
        # Without a key it is another caller, whom access refuses first.
        assert_problem(client.get("/collections", headers={"Authorization": ""}), 401, "unauthenticated")


def test_a_caller_that_has_used_up_its_decoding_time_may_still_read(tmp_path):
    settings = limited(tmp_path, max_decoding_share=0.00002)
    with local_client(create_app(settings, load_first=True), headers=bearer(KEY)) as client:
        assert client.post("/search", files={"file": draw(1)}).status_code == 200
        refused = client.post("/search", files={"file": draw(2)})
        assert_problem(refused, 429, "rate_limited")
        assert refused.headers["ratelimit-policy"] == '"decoding-ms";q=1;w=60'
        assert client.get("/images").status_code == 200
        assert_problem(client.delete("/images/missing"), 404, "unknown_image")


def test_zero_is_no_limit(tmp_path):
    settings = limited(tmp_path, max_requests_per_minute=0, max_decoding_share=0, max_wrong_keys_per_minute=0)
    with local_client(create_app(settings, load_first=True), headers=bearer(KEY)) as client:
        answer = client.post("/search", files={"file": draw(1)})
        assert answer.status_code == 200
        assert "ratelimit" not in answer.headers
        wrong = [client.get("/info", headers=bearer("wrong")).status_code for _ in range(40)]
        assert set(wrong) == {401}


@pytest.fixture
def waits(monkeypatch):
    """The waits of callers with wrong keys, which pass at once."""
    seconds = []
    real = asyncio.sleep

    class Sleepless:
        get_running_loop = staticmethod(asyncio.get_running_loop)

        @staticmethod
        async def sleep(duration):
            seconds.append(duration)
            await real(0)

    monkeypatch.setattr(guesses, "asyncio", Sleepless)
    return seconds


def test_wrong_keys_are_delayed_then_refused_and_known_keys_go_on(tmp_path, waits):
    settings = limited(tmp_path, max_wrong_keys_per_minute=5)
    with local_client(create_app(settings, load_first=True)) as client:
        assert client.get("/info", headers=bearer(KEY)).status_code == 200
        first = [client.get("/info", headers=bearer(f"wrong {i}")).status_code for i in range(5)]
        assert (first, waits) == ([401] * 5, [])
        more = [client.get("/info", headers=bearer(f"wrong {i}")) for i in range(200)]
        assert [answer.status_code for answer in more[:5]] == [401] * 5
        assert len(waits) >= 5
        assert min(waits) >= guesses.INTERVAL_S - 1e-6
        refused = next(answer for answer in more if answer.status_code == 429)
        assert_problem(refused, 429, "rate_limited")
        assert int(refused.headers["retry-after"]) >= 1

        before = len(waits)
        assert client.get("/info", headers=bearer(KEY)).status_code == 200
        assert len(waits) == before


def test_a_valid_key_that_is_new_to_an_address_waits_its_turn_like_a_wrong_one(tmp_path, waits):
    settings = limited(tmp_path, max_wrong_keys_per_minute=5)
    with local_client(create_app(settings, load_first=True)) as client:
        for i in range(6):
            client.get("/info", headers=bearer(f"wrong {i}"))
        before = len(waits)
        assert client.get("/info", headers=bearer(KEY)).status_code == 200
        assert len(waits) == before + 1


def test_a_valid_key_without_the_scope_waits_its_turn_too(tmp_path, waits):
    settings = limited(tmp_path, max_wrong_keys_per_minute=5)
    with local_client(create_app(settings, load_first=True)) as client:
        keys = Keys(client.app.state.services.database)
        reader = client.portal.call(keys.create, "reader", Rights(Scope.SEARCH)).text
        client.portal.call(client.app.state.services.index_sync.follower.catch_up_to_latest)
        for i in range(6):
            client.get("/info", headers=bearer(f"wrong {i}"))
        before = len(waits)
        assert client.get("/admin/backups", headers=bearer(reader)).status_code == 403
        assert len(waits) == before + 1


def test_an_old_cookie_and_no_key_do_not_count_as_wrong_keys(tmp_path, waits):
    settings = limited(tmp_path, max_wrong_keys_per_minute=5)
    with local_client(create_app(settings, load_first=True)) as client:
        for _ in range(10):
            assert client.get("/info").status_code == 401
        assert client.post("/session", headers=bearer(KEY)).status_code == 204
        cookie = f"lookalike_session={client.cookies['lookalike_session']}"
        assert client.delete("/session").status_code == 204
        client.cookies.clear()
        for _ in range(10):
            assert client.get("/info", headers={"Cookie": cookie}).status_code == 401
        assert client.get("/info", headers=bearer("wrong")).status_code == 401
        assert waits == []


def test_an_unknown_store_is_a_misconfiguration(tmp_path):
    app = create_app(limited(tmp_path, rate_limit_store="nowhere://"), load_first=True)
    with pytest.raises(Misconfigured, match="LOOKALIKE_RATE_LIMIT_STORE"), local_client(app):
        pass
