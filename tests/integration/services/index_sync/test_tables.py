"""Hash tables are built beside a service that already answers."""

import asyncio
import time

import numpy as np
import pytest

from app.index import planner
from app.index.collection_index import CollectionIndex
from app.index.recent_searches import FIRST_DUE
from app.services.index_sync.index_sync import IndexSync
from app.services.index_sync.snapshots import Snapshots
from app.services.supervision import Supervisor
from tests.integration.services.index_sync.test_snapshots import OneModel
from tests.integration.store.pictures import add, make_collection, new_image

pytestmark = pytest.mark.anyio


async def tables_of(index_sync, *, over):
    """The tables over at least so many rows of the default collection, once they are there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        view = index_sync.catalogue.collection("default").index.view()
        for matrix in (view.main, view.tail):
            if matrix.engine is not None and matrix.engine.covered >= over:
                return matrix.engine
        await asyncio.sleep(0.01)
    raise AssertionError("no tables were built")


async def test_tables_are_built_after_a_load_and_when_much_was_added(database, monkeypatch):
    """And with them the answers are what they were."""
    monkeypatch.setitem(CollectionIndex.__init__.__kwdefaults__, "hash_from", 64)
    monkeypatch.setitem(CollectionIndex.__init__.__kwdefaults__, "min_use", 0)
    monkeypatch.setattr(planner, "TRIAL_SHARE", 1_000)
    monkeypatch.setattr(planner, "TOTAL_SHARE", 1_000)
    collection = await make_collection(database)
    await add(database, collection, *(new_image(f"p{i}") for i in range(300)))
    index_sync = IndexSync(
        database,
        Supervisor(),
        OneModel(),
        Snapshots(None),
        poll_interval_s=30,
        snapshot_interval_s=30,
        scan_threads=2,
    )
    await index_sync.start()
    try:
        index = index_sync.catalogue.collection("default").index
        await tables_of(index_sync, over=300)
        assert index.view().threads.threads == 2

        await add(database, collection, *(new_image(f"late{i}") for i in range(320)))
        async with database.read() as unit:
            await index_sync.follower.catch_up(await unit.feed.latest())
        await tables_of(index_sync, over=320)

        view = index.view()
        code = view.code_of(int(view.tail.numbers[7]))
        found = view.search(code, 1_000)
        assert sorted(found.numbers.tolist()) == view.sample_numbers(1_000).tolist()
        assert found.distances[0] == 0
    finally:
        await index_sync.close()


async def test_tables_follow_searches_though_nothing_changes(database, monkeypatch):
    monkeypatch.setitem(CollectionIndex.__init__.__kwdefaults__, "hash_from", 64)
    monkeypatch.setattr("app.services.index_sync.index_sync.TABLES_INTERVAL_S", 0.01)
    monkeypatch.setattr(planner, "TRIAL_SHARE", 0)
    collection = await make_collection(database)
    await add(database, collection, *(new_image(f"p{i}") for i in range(300)))
    index_sync = IndexSync(
        database, Supervisor(), OneModel(), Snapshots(None), poll_interval_s=30, snapshot_interval_s=30
    )
    await index_sync.start()
    try:
        index = index_sync.catalogue.collection("default").index
        for _ in range(1_000):
            await asyncio.sleep(0.01)
            if not index.wants_engines:
                break
        assert index.view().main.engine is None

        monkeypatch.setattr(planner, "TRIAL_SHARE", 1_000)
        monkeypatch.setattr(planner, "TOTAL_SHARE", 1_000)
        queries = np.repeat(index.view().main.columns[:, :1].T, FIRST_DUE, axis=0)
        index.view().search_many(queries, 1)

        await tables_of(index_sync, over=300)
    finally:
        await index_sync.close()
