"""An import goes on after whatever happens to its workers, and obeys its operator within a batch."""

import asyncio
import dataclasses
import os
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from app.bootstrap import WorkerServices, open_serving, open_worker
from app.domain.jobs import ItemStatus, JobKind, JobState, PartState
from app.images.staging import Staging
from app.jobs.runner import Runner
from app.services.importing.batches import BATCH_ITEMS
from app.services.importing.imports import ImportOptions, SourceKind
from app.settings import Settings
from app.store.schema.tables import job_parts
from app.worker.handlers import import_images
from tests.api.conftest import draw
from tests.fixtures.archives import tar_of, zip_of

pytestmark = pytest.mark.anyio

COUNT = 150
PICTURES = {f"{i:03}.png": draw(i, size=16) for i in range(COUNT)}


class Died(BaseException):
    """As near to a worker's sudden end as one process can come: nobody handles it, nothing is written."""


class Preparing:
    """Passes pictures on to the real preparation, after a look at them."""

    def __init__(self, services: WorkerServices, look) -> None:
        self._real = services.preparation
        self._look = look

    async def prepare(self, collection, pictures, on_duplicate):
        await self._look(pictures)
        return await self._real.prepare(collection, pictures, on_duplicate)

    async def store_missing_files(self, ready) -> None:
        await self._real.store_missing_files(ready)


@pytest.fixture
async def services(tmp_path, database_url) -> AsyncIterator[WorkerServices]:
    settings = Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        default_model="paper-32",
        decode_children=1,
    )
    async with open_serving(settings):
        pass  # makes the default collection
    async with open_worker(settings) as opened:
        yield opened


def runner(services: WorkerServices, look=None, **options: Any) -> Runner:
    """A worker; ``look`` sees the pictures of each batch before it is made ready."""
    if look is not None:
        services = dataclasses.replace(services, preparation=Preparing(services, look))
    handlers = {JobKind.INDEX: import_images.make(services)}
    return Runner(services.database, handlers, owner="w", **{"lease_s": 30.0, **options})


async def start(services: WorkerServices, files: dict[str, bytes]) -> str:
    with services.imports.temporary_upload() as path:
        path.write_bytes(zip_of(files))
        view = await services.imports.from_upload(path, SourceKind.ARCHIVE, ImportOptions())
    return view.record.id


async def expire_leases(services: WorkerServices) -> None:
    """Let the leases of dead workers run out, without waiting for it."""
    async with services.database.write() as unit:
        await unit.leases._connection.execute(
            sa.update(job_parts)
            .where(job_parts.c.state == PartState.RUNNING)
            .values(lease_until=datetime(2000, 1, 1, tzinfo=UTC))
        )


async def run_all(worker: Runner) -> None:
    while await worker.run_one():
        pass


@pytest.mark.parametrize("place", [0, 100])
async def test_a_picture_that_kills_its_workers_is_listed_and_skipped(services, place):
    deadly = list(PICTURES.values())[place]
    job_id = await start(services, PICTURES)
    deaths = 0

    async def look(pictures) -> None:
        if any(picture.content == deadly for picture in pictures):
            raise Died

    for _ in range(40):
        try:
            await runner(services, look).run_one()
        except Died:
            deaths += 1
            await expire_leases(services)
        if (await services.jobs.get(job_id)).is_over:
            break

    view = await services.jobs.get(job_id)
    assert (view.record.state, view.counts) == (JobState.SUCCEEDED, {"created": COUNT - 1, "failed": 1})
    [failed], _ = await services.jobs.items(job_id, status=ItemStatus.FAILED)
    assert (failed.position, failed.name, failed.error_code) == (place, f"{place:03}.png", "worker_died")
    # One with others beside it, then two with it alone.
    assert deaths == 3
    async with services.database.read() as unit:
        collection = await unit.collections.get("default")
        assert await unit.images.count(collection.pk) == COUNT - 1


@pytest.mark.parametrize(("move", "state"), [("pause", JobState.PAUSED), ("cancel", JobState.CANCELLED)])
async def test_an_import_stops_within_a_batch(services, move, state):
    job_id = await start(services, PICTURES)
    seen = 0

    async def look(pictures) -> None:
        nonlocal seen
        seen += 1
        if seen == 1:
            await getattr(services.jobs, move)(job_id)

    worker = runner(services, look)
    await run_all(worker)

    view = await services.jobs.get(job_id)
    assert view.record.state == state
    assert view.progress.done == BATCH_ITEMS
    if move == "pause":
        await services.jobs.resume(job_id)
        await run_all(runner(services))
        view = await services.jobs.get(job_id)
        assert (view.record.state, view.counts) == (JobState.SUCCEEDED, {"created": COUNT})


async def test_a_small_import_is_split_for_several_workers(services):
    job_id = await start(services, {f"{i:04}.png": b"no picture" for i in range(600)})

    await runner(services).run_one()
    pair = [runner(services), runner(services)]
    worked = await asyncio.gather(*(worker.run_one() for worker in pair))
    await run_all(pair[0])

    assert worked == [True, True]
    view = await services.jobs.get(job_id)
    assert (view.record.state, view.counts) == (JobState.FAILED, {"failed": 600})


async def test_an_import_continues_under_a_newly_active_model(services):
    """What was made ready under the old model is made ready anew, not written."""
    few = dict(list(PICTURES.items())[:20])
    job_id = await start(services, few)
    switched = False

    async def look(pictures) -> None:
        nonlocal switched
        if not switched:
            switched = True
            async with services.database.write() as unit:
                collection = await unit.collections.get("default")
                await unit.collections.switch_model(collection.pk, "lite0-256")

    await run_all(runner(services, look))

    view = await services.jobs.get(job_id)
    assert (view.record.state, view.counts) == (JobState.SUCCEEDED, {"created": len(few)})


async def test_staged_files_are_deleted_when_no_retry_needs_them(services):
    staging = Staging(services.settings.storage.resolved_pictures_url)
    whole = await start(services, dict(list(PICTURES.items())[:3]))
    partly = await start(services, {"a.txt": b"no picture"})
    waiting = await start(services, {"b.txt": b"no picture"})
    await run_all(runner(services))

    assert await staging.list() == sorted([whole, partly, waiting])
    assert await services.imports.sweep_staged() == 1
    assert await staging.list() == sorted([partly, waiting])


async def test_a_planner_unpacks_to_a_folder_that_is_swept(services, monkeypatch):
    """Not in the system's folder for temporary files: an unpacked archive may take many gigabytes."""
    uploads = services.settings.storage.data_dir / "uploads"
    seen = []

    def look(upload, file, _limits):
        seen.append(Path(file.name).parent)
        file.write(upload.read())

    monkeypatch.setattr("app.services.importing.planning.unpack_gzip", look)
    with services.imports.temporary_upload() as path:
        path.write_bytes(tar_of({"a.png": PICTURES["000.png"]}, "w:gz"))
        await services.imports.from_upload(path, SourceKind.ARCHIVE, ImportOptions())
    await run_all(runner(services))
    assert [folder.parent for folder in seen] == [uploads]

    left, present = uploads / "left", uploads / "present"
    for folder in (left, present):
        folder.mkdir()
        (folder / "archive").write_bytes(b"unpacked by a worker that was killed")
    os.utime(left, (0, 0))
    await services.imports.sweep_temporary_files()

    assert list(uploads.iterdir()) == [present]


async def test_staged_files_in_an_object_store_support_random_access(tmp_path):
    """In memory here; what matters is that nothing of it is a local file."""
    staging = Staging("memory:///")
    content = np.random.default_rng(0).bytes(3_000_000)
    path = tmp_path / "a"
    path.write_bytes(content)

    await staging.put("job", "upload", path)
    other = tmp_path / "b"
    other.write_bytes(b"other")
    await staging.put_once("job", "upload", other)

    def read() -> None:
        chance = random.Random(0)
        with staging.open("job", "upload") as file:
            assert file.seek(0, 2) == len(content)
            for _ in range(50):
                place, size = chance.randrange(len(content)), chance.randrange(2_000_000)
                file.seek(place)
                assert file.read(size) == content[place : place + size]

    await asyncio.to_thread(read)
    assert not path.exists()
    assert await staging.list() == ["job"]
    await staging.delete("job")
    assert await staging.list() == []
