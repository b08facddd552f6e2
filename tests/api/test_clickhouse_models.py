"""The model of a collection on ClickHouse is switched and rolled back while it is searched."""

import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from starlette.testclient import TestClient

from app.api.app import create_app
from app.remote import journal
from app.remote.connection import EngineAddress, EngineConnection
from app.services.index_sync import engine_feeder
from app.services.index_sync.engine_feeder import EngineFeeder
from app.settings import Settings
from tests.api.conftest import Api, assert_problem, local_client
from tests.api.test_clickhouse import until
from tests.api.test_models import NEW, activate, reencode, wide, work  # noqa: F401
from tests.fixtures.engine import engine_address, engine_settings, engine_url  # noqa: F401
from tests.fixtures.models import ARTIFACTS, SMALL, write_variant

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(tmp_path: Path, engine_address: EngineAddress) -> Settings:  # noqa: F811
    shipped = tmp_path / "shipped"
    shutil.copytree(ARTIFACTS / SMALL, shipped / SMALL)
    write_variant(shipped, NEW)
    return Settings(
        data_dir=tmp_path / "data",
        artifacts_dir=shipped,
        default_model=SMALL,
        decode_children=1,
        poll_interval_s=0.05,
        activation_timeout_s=1,
        **engine_settings(engine_address),
    )


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with local_client(create_app(settings, load_first=True), raise_server_exceptions=False) as client:
        yield client


class Searches:
    """Searches all the time for one of the pictures, which every answer must find first, at distance 0."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._search)
        self.codes: dict[str, set[str]] = {SMALL: set(), NEW: set()}
        """Codes of the query by the model that the answer names."""
        self.answers: Counter[str] = Counter()
        self.faults: list[str] = []

    def _search(self) -> None:
        while not self._over.is_set():
            answer = self._api.search(wide(3), collection="far")
            if answer.status_code != 200:
                self.faults.append(answer.text)
                continue
            found = answer.json()
            model, first = found["index"]["model"], found["items"][0]
            self.codes[model].add(found["query"]["code"])
            self.answers[model] += 1
            if (first["id"], first["distance"]) != ("d", 0) or found["index"]["searched"] < 8:
                self.faults.append(answer.text)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def goes_on(self, model: str) -> None:
        """Wait for another answer under a model."""
        before = self.answers[model]
        until(lambda: self.answers[model] > before + 1)


def generations(api: Api) -> int:
    """Number of copies whose rows the engine holds."""
    services = api.client.app.state.services
    connection: EngineConnection = services.engine
    [(count,)] = connection.query(f"SELECT uniqExact(generation) FROM {connection.database}.codes_1")
    return count


def test_a_model_is_switched_rolled_back_and_pruned_without_a_wrong_answer(api: Api, work, monkeypatch):  # noqa: F811
    monkeypatch.setattr(journal, "SETTLED_S", 0)
    monkeypatch.setattr(engine_feeder, "TIDY_EVERY_S", 0.05)
    api.client.post("/collections", json={"name": "far", "index": "clickhouse"})
    api.add(*(wide(i) for i in range(8)), ids=list("abcdefgh"), collection="far")
    with Searches(api) as searches:
        searches.goes_on(SMALL)
        assert reencode(api, work, "far")["result"]["encoded"] == 8
        with monkeypatch.context() as stopped:
            # Nothing is fed: every process waits for the first version of the new copy.
            stopped.setattr(EngineFeeder, "turn", _nothing)
            assert_problem(activate(api, collection="far"), 503, "activation_pending")
            assert api.client.get("/collections/far").json()["model"] == SMALL
            searches.goes_on(SMALL)
        until(lambda: activate(api, collection="far").status_code == 200)
        searches.goes_on(NEW)
        assert generations(api) == 2
        api.add(wide(20), ids=["between"], collection="far")
        back = api.client.post("/admin/models/rollback", json={"collection": "far"})
        while back.status_code == 503:  # a busy machine
            back = api.client.post("/admin/models/rollback", json={"collection": "far"})
        assert (back.json()["model"], back.json()["missing"]) == (SMALL, 0)
        again = api.search(wide(20), collection="far").json()
        assert (again["index"]["model"], again["index"]["searched"]) == (SMALL, 9)
        assert (again["items"][0]["id"], again["items"][0]["distance"]) == ("between", 0)
        searches.goes_on(SMALL)
        assert api.client.post("/admin/models/prune", json={"collection": "far"}).json() == {"codes": 9}
        until(lambda: generations(api) == 1)
        searches.goes_on(SMALL)
    assert searches.faults == []
    assert [len(codes) for codes in searches.codes.values()] == [1, 1]
    assert searches.codes[SMALL] != searches.codes[NEW]


async def _nothing(self: EngineFeeder) -> None:
    return None
