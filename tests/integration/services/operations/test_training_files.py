"""Files of trainings go when no retry needs them, and not before."""

from datetime import timedelta

import pytest

from app.domain.jobs import JobKind
from app.images.objects import ObstoreObjects
from app.services.operations.training_files import TrainingFiles

pytestmark = pytest.mark.anyio


async def test_files_of_trainings_that_are_over_are_removed(database, tmp_path):
    objects = ObstoreObjects((tmp_path / "store").as_uri())
    async with database.write() as unit:
        jobs = {
            name: (await unit.jobs.create("train", {})).id for name in ("queued", "ended", "done", "running")
        }
        await unit.jobs.cancel(jobs["ended"])
        for name in ("done", "running"):
            await unit.jobs.pause(jobs["queued"])
            lease = await unit.leases.claim("w", lease_s=60, kinds=[JobKind.TRAIN], max_strikes=3)
            jobs[name] = lease.job_id
            if name == "done":
                await unit.leases.finish(lease, {})
    names = {**jobs, "pruned": "01AAAAAAAAAAAAAAAAAAAAAAAA"}
    for job_id in names.values():
        await objects.put(f"checkpoints/{job_id}", b"x")
        (tmp_path / "training" / job_id / "features").mkdir(parents=True)

    async def left(retention: timedelta) -> tuple[set[str], set[str]]:
        files = TrainingFiles(database, objects, tmp_path, retention=retention)
        await files.sweep_workspaces()
        await files.sweep_checkpoints()
        by_id = {job_id: name for name, job_id in names.items()}
        checkpoints = {by_id[key.rpartition("/")[2]] for key in await objects.list("checkpoints")}
        return {by_id[path.name] for path in (tmp_path / "training").iterdir()}, checkpoints

    kept = {"queued", "ended", "running"}
    assert await left(timedelta(hours=24)) == (kept, kept)
    assert await left(timedelta(0)) == (kept - {"ended"}, kept - {"ended"})


async def test_without_any_training_nothing_happens(database, tmp_path):
    objects = ObstoreObjects((tmp_path / "store").as_uri())
    files = TrainingFiles(database, objects, tmp_path, retention=timedelta(0))

    await files.sweep_workspaces()
    await files.sweep_checkpoints()

    assert list((tmp_path / "store").iterdir()) == []
