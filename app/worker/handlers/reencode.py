"""``reencode`` and ``hash`` jobs: encode or hash stored pictures while searches continue.

A ``hash`` job computes missing signatures, which are treated like the codes of further models.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from app.bootstrap import WorkerServices
from app.domain.collections import CollectionRecord
from app.domain.errors import UnknownCollection, WorkerDied
from app.domain.images import ImageRecord
from app.domain.jobs import ItemStatus, JobItemRecord
from app.domain.signatures import SIGNATURES
from app.jobs.leases import HeldPart
from app.jobs.retries import next_trial
from app.jobs.runner import Handler
from app.services.model_life.reencoding import EncodingFailure, EncodingResult
from app.store.unit_of_work import WriteUnit

FULL_BATCH: Final = 32


@dataclass(slots=True)
class _Progress:
    """The checkpoint."""

    after: int = -1
    """Insertion number of the last picture done."""
    untried: bool = False
    """Whether every picture was tried once and only pictures added since are left."""
    encoded: int = 0
    failed: int = 0
    suspects: int = 0
    """Number of next pictures to encode one at a time, because a worker died with them."""
    trial: dict[str, int] | None = None
    """See ``retries.Trial``; its place is an insertion number."""


def make_handler(services: WorkerServices) -> Handler:
    """Return the handler of ``reencode`` and ``hash`` jobs."""
    return partial(reencode, services)


async def reencode(services: WorkerServices, part: HeldPart) -> dict[str, Any]:
    """Encode pictures without a code, in batches; with ``force`` all pictures, whose codes are replaced.

    A ``hash`` job, under the name of a signature, leaves out pictures that have a reason for having none. Else
    first mark the model as the collection's next one, so that later additions are encoded under both models. A
    second pass finds pictures whose addition started before.
    """
    arguments = part.lease.arguments
    model: str = arguments["model"]
    record = await _collection(services, arguments["collection_pk"])
    progress = _Progress(**part.checkpoint)
    if not part.checkpoint:
        await _prepare(services, part, record, model)
        progress.untried = model in SIGNATURES
    elif part.lease.is_taken_over and not progress.suspects:
        progress.suspects = FULL_BATCH
    while True:
        images = await _next_images(services, part, record, model, progress)
        if images:
            await _encode_batch(services, part, record, model, images, progress)
        elif progress.untried or "positions" in part.lease.part_arguments:
            break
        else:
            progress.after, progress.untried = -1, True
    async with services.database.read() as unit:
        missing = await unit.coverage.missing(record.pk, model)
    return {
        "model": model,
        "encoded": progress.encoded,
        "failed": progress.failed,
        "missing": missing.count,
        "missing_by_reason": missing.by_reason,
    }


async def _collection(services: WorkerServices, pk: int) -> CollectionRecord:
    async with services.database.read() as unit:
        record = await unit.collections.by_pk(pk)
    if record is None:
        raise UnknownCollection
    return record


async def _prepare(services: WorkerServices, part: HeldPart, record: CollectionRecord, model: str) -> None:
    is_hash = model in SIGNATURES
    if not is_hash:
        # Load and verify the model before other processes start to encode under it.
        await services.models.serving(model)
    async with part.batch() as batch:
        if not is_hash and model not in record.coded_models:
            await batch.unit.collections.prepare_model(record.pk, model)
        if _is_forced(part):
            count = await batch.unit.images.count(record.pk)
        else:
            missing = await batch.unit.coverage.missing(record.pk, model)
            count = missing.pending if is_hash else missing.count
        # A retry of failed pictures continues the job, whose total is known.
        is_retry = "positions" in part.lease.part_arguments
        phase = "hashing" if is_hash else "encoding"
        batch.save(asdict(_Progress(untried=is_hash)), phase=phase, total=None if is_retry else count)


async def _next_images(
    services: WorkerServices, part: HeldPart, record: CollectionRecord, model: str, progress: _Progress
) -> list[ImageRecord]:
    limit = 1 if progress.suspects else FULL_BATCH
    async with services.database.read() as unit:
        positions = part.lease.part_arguments.get("positions")
        if positions is None and _is_forced(part) and not progress.untried:
            return await unit.images.page(record.pk, progress.after, limit)
        if positions is None:
            return await unit.coverage.missing_images(
                record.pk, model, after=progress.after, limit=limit, untried=progress.untried
            )
        again = sorted(number for number in positions if number > progress.after)[:limit]
        found = await unit.images.by_numbers(record.pk, again)
    return [found[number] for number in sorted(found)]


async def _encode_batch(
    services: WorkerServices,
    part: HeldPart,
    record: CollectionRecord,
    model: str,
    images: Sequence[ImageRecord],
    progress: _Progress,
) -> None:
    if progress.suspects:
        encoded = await _encode_alone(services, part, images[0], model, progress)
    else:
        encoded = await _encode(services, images, model)
    async with part.batch() as batch:
        if _is_forced(part):
            await _drop_codes(batch.unit, record.pk, model, encoded)
        stored = await encoded.write(batch.unit, record.pk, model)
        progress.after = images[-1].number
        progress.encoded += stored
        progress.failed += len(encoded.failed)
        progress.suspects = max(0, progress.suspects - 1)
        progress.trial = None
        is_retry = "positions" in part.lease.part_arguments
        batch.save(asdict(progress), done=len(images), items=_items(encoded, model, with_successes=is_retry))


def _is_forced(part: HeldPart) -> bool:
    return bool(part.lease.arguments.get("force", False))


async def _drop_codes(unit: WriteUnit, collection_pk: int, model: str, encoded: EncodingResult) -> None:
    """Delete the codes that new ones replace, except those of pictures that were replaced meanwhile."""
    read = {image.number: image.sha256 for image, _ in encoded.codes}
    stored = await unit.images.by_numbers(collection_pk, list(read))
    unchanged = [number for number, image in stored.items() if image.sha256 == read[number]]
    await unit.coverage.delete_codes(collection_pk, model, unchanged)


async def _encode_alone(
    services: WorkerServices, part: HeldPart, image: ImageRecord, model: str, progress: _Progress
) -> EncodingResult:
    """Encode a picture, recorded before it is read, so that it is known if it kills this worker."""
    trial = next_trial(part.lease, image.number)
    if trial.is_proven_deadly:
        return EncodingResult(failed=[EncodingFailure(image, WorkerDied())])
    if model not in SIGNATURES:
        # Load the model first: a worker that dies doing so must not blame the picture.
        await services.models.serving(model)
    progress.trial = asdict(trial)
    async with part.batch() as batch:
        batch.save(asdict(progress), is_progress=False)
    return await _encode(services, [image], model)


async def _encode(services: WorkerServices, images: Sequence[ImageRecord], model: str) -> EncodingResult:
    if model in SIGNATURES:
        return await services.reencoding.hash(images)
    return await services.reencoding.encode(images, model)


def _items(encoded: EncodingResult, model: str, *, with_successes: bool) -> list[JobItemRecord]:
    """Return outcomes of failed pictures; on a retry, also of successes, which replace the earlier failures."""
    failed = [
        JobItemRecord(
            f.image.number, ItemStatus.FAILED, f.image.image_id, f.image.image_id, f.error.code, f.error.detail
        )
        for f in encoded.failed
    ]
    done = [
        JobItemRecord(image.number, ItemStatus.REPLACED, image.image_id, image.image_id)
        for image, code in encoded.codes
        if code.model == model
    ]
    return failed + (done if with_successes else [])
