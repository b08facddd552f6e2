"""A re-encoding lists the picture that kills its workers, after few deaths, and continues without it."""

import dataclasses

import pytest

from app.domain.colours import COLOUR_MODEL
from app.domain.images import ImageCode
from app.domain.jobs import ItemStatus, JobKind, JobState
from app.domain.perceptual import PERCEPTUAL_MODEL
from app.domain.signatures import SIGNATURES
from app.jobs.runner import Runner
from app.services.model_life.jobs import ModelJobs
from app.services.operations.missing_hashes import MissingHashes
from app.worker.handlers import reencode
from tests.integration.jobs.test_import_images import (
    PICTURES,
    Died,
    expire_leases,
    run_all,
    runner,
    services,
    start,
)

__all__ = ["services"]

pytestmark = pytest.mark.anyio

MODEL = "lite0-256"
FEW = dict(list(PICTURES.items())[:40])


class Encoding:
    """A fake that encodes pictures unless the deadly one is among them."""

    def __init__(self, services, deadly: str) -> None:
        self._real = services.reencoding
        self._deadly = deadly
        self.deaths: list[int] = []

    async def encode(self, images, model):
        if any(image.uri == self._deadly for image in images):
            self.deaths.append(len(images))
            raise Died
        return await self._real.encode(images, model)


@pytest.mark.parametrize("place", [0, 35])
async def test_a_picture_that_kills_its_workers_is_listed_and_skipped(services, place):
    await start(services, FEW)
    await run_all(runner(services))
    model_jobs = ModelJobs(services.database, services.models, services.jobs, services.picture_sources)
    view = await model_jobs.reencode("default", MODEL)
    encoding = Encoding(services, list(FEW)[place])
    handlers = {JobKind.REENCODE: reencode.make_handler(dataclasses.replace(services, reencoding=encoding))}

    while not view.is_over:
        try:
            await Runner(services.database, handlers, owner="w").run_one()
        except Died:
            await expire_leases(services)
        view = await services.jobs.get(view.record.id)

    assert (view.record.state, view.record.result["encoded"]) == (JobState.SUCCEEDED, len(FEW) - 1)
    assert view.record.result["missing_by_reason"] == {"worker_died": 1}
    [failed], _ = await services.jobs.items(view.record.id, status=ItemStatus.FAILED)
    assert failed.error_code == "worker_died"
    # With others beside it once, then alone twice.
    assert encoding.deaths[1:] == [1, 1]


async def test_a_retry_counts_the_pictures_of_the_whole_job(services):
    await start(services, FEW)
    await run_all(runner(services))
    model_jobs = ModelJobs(services.database, services.models, services.jobs, services.picture_sources)
    view = await model_jobs.reencode("default", MODEL)
    async with services.database.read() as unit:
        [record] = await unit.collections.list_all()
        image = (await unit.images.page(record.pk, 0, 1))[0]
    content = await services.pictures.get(image.sha256)
    await services.pictures.delete(image.sha256)
    handlers = {JobKind.REENCODE: reencode.make_handler(services)}
    worker = Runner(services.database, handlers, owner="w")
    await run_all(worker)
    first = (await services.jobs.get(view.record.id)).record
    assert (first.done, first.total) == (len(FEW), len(FEW))

    await services.pictures.put(image.sha256, content)
    await services.jobs.retry(view.record.id)
    await run_all(worker)

    again = (await services.jobs.get(view.record.id)).record
    assert (again.state, again.done, again.total) == (JobState.SUCCEEDED, len(FEW), len(FEW))


async def test_force_renews_codes_under_the_active_model(services):
    await start(services, FEW)
    await run_all(runner(services))
    async with services.database.read() as unit:
        [record] = await unit.collections.list_all()
        images = await unit.images.page(record.pk, 0, 100)
        right = await unit.images.codes_of(record.pk, record.model, [image.number for image in images])
    number = images[3].number
    async with services.database.write() as unit:
        await unit.coverage.delete_codes(record.pk, record.model, [number])
        wrong = ImageCode(record.model, bytes(len(right[number])), None)
        await unit.coverage.put_codes(record.pk, [(images[3], wrong)])
        await unit.coverage.mark_blank([(images[5], True)])
        before = await unit.feed.latest()
    await services.pictures.delete(images[7].sha256)
    model_jobs = ModelJobs(services.database, services.models, services.jobs, services.picture_sources)

    view = await model_jobs.reencode("default", record.model, force=True)
    await run_all(Runner(services.database, {JobKind.REENCODE: reencode.make_handler(services)}, owner="w"))

    job = (await services.jobs.get(view.record.id)).record
    async with services.database.read() as unit:
        renewed = await unit.images.codes_of(record.pk, record.model, [image.number for image in images])
        changed = {change.number for change in await unit.feed.since(before)}
        blank = [image.image_id for image in await unit.images.page(record.pk, 0, 100) if image.is_blank]
    assert (job.done, job.total, job.result["encoded"]) == (len(FEW), len(FEW), len(FEW) - 1)
    assert renewed == right  # also that of the picture whose file is lost
    assert number in changed
    assert blank == []


@pytest.mark.parametrize("lacking", [(PERCEPTUAL_MODEL,), (COLOUR_MODEL,), SIGNATURES])
async def test_pictures_added_before_there_were_signatures_get_theirs_from_one_queued_job(services, lacking):
    await start(services, FEW)
    await run_all(runner(services))
    async with services.database.read() as unit:
        [record] = await unit.collections.list_all()
        images = await unit.images.page(record.pk, 0, 100)
        numbers = [image.number for image in images]
        right = {model: await unit.images.codes_of(record.pk, model, numbers) for model in SIGNATURES}
    assert right[PERCEPTUAL_MODEL]
    assert sorted(right[COLOUR_MODEL]) == numbers
    async with services.database.write() as unit:
        for model in lacking:
            await unit.coverage.forget_codes(record.pk, model, len(FEW) + 1)
    await services.pictures.delete(images[7].sha256)
    queue = MissingHashes(services.database, services.jobs)

    assert (await queue.queue_jobs(), await queue.queue_jobs()) == (1, 0)
    await run_all(Runner(services.database, {JobKind.HASH: reencode.make_handler(services)}, owner="w"))

    [view], _ = await services.jobs.page(kind=JobKind.HASH)
    async with services.database.read() as unit:
        again = {model: await unit.images.codes_of(record.pk, model, numbers) for model in SIGNATURES}
    for model in lacking:
        right[model].pop(numbers[7], None)
    assert (view.record.state, view.record.done, view.record.total) == (JobState.SUCCEEDED, len(FEW), len(FEW))
    assert again == right
    assert await queue.queue_jobs() == 0  # what cannot be hashed is not tried again
