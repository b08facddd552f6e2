"""``verify`` jobs: check that the database, the codes and the files agree; repair them on request."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from app.bootstrap import WorkerServices
from app.domain.collections import CollectionRecord
from app.domain.errors import FileDamaged, IndexUnavailable, PictureGone
from app.domain.images import ImageRecord
from app.domain.jobs import ItemStatus, JobItemRecord
from app.jobs.leases import HeldPart
from app.jobs.runner import Handler
from app.services.index_sync.index_files import IndexFileFault
from app.services.index_sync.remote_check import RemoteFault
from app.services.model_life.reencoding import EncodingResult

PAGE: Final = 200
SHOWN_NUMBERS: Final = 10
"""Insertion numbers that an item about an index on another server lists at most."""

FINDINGS: Final = (
    "code_missing",
    "code_invalid",
    "file_missing",
    "file_damaged",
    "code_without_picture",
    *IndexFileFault,
    *RemoteFault,
)


def make_handler(services: WorkerServices) -> Handler:
    """Return the handler of ``verify`` jobs."""
    return partial(verify, services)


async def verify(services: WorkerServices, part: HeldPart) -> dict[str, Any]:
    """Check every picture of every collection; list faults as the job's items.

    Each picture needs a code of its collection's model, of the right length, or a recorded reason for having
    none. Its file must be in the picture store, and with ``deep`` match its sha256. Each code must belong to a
    picture. The index snapshots on this worker's machine must match the database, as must the rows of indexes
    on another server. A repair encodes pictures without a code, deletes codes without a picture, rewrites the
    snapshots, and has rows that differ written again. It restores lost and damaged files from backups that copy
    pictures, or from the picture's uri.
    """
    async with services.database.read() as unit:
        collections = sorted(await unit.collections.list_all(), key=lambda record: record.pk)
        total = sum([await unit.images.count(record.pk) for record in collections])
    findings = dict.fromkeys(FINDINGS, 0) | part.checkpoint.get("findings", {})
    repaired: int = part.checkpoint.get("repaired", 0)
    at = (part.checkpoint.get("collection", -1), part.checkpoint.get("after", -1))
    for record in collections:
        if record.pk < at[0]:
            continue
        after = at[1] if record.pk == at[0] else -1
        while True:
            look = _Look(services, record, part.lease.arguments)
            images = await look.page(after)
            if not images:
                break
            items = await look.at(images)
            after = images[-1].number
            async with part.batch() as batch:
                for item in items:
                    findings[item.error_code or ""] += 1
                repaired += await look.repair(batch.unit)
                checkpoint = {
                    "collection": record.pk,
                    "after": after,
                    "findings": findings,
                    "repaired": repaired,
                }
                batch.save(checkpoint, done=len(images), total=total, items=items, phase="verifying")
        async with part.batch() as batch:
            stray = await batch.unit.coverage.stray_codes(
                record.pk, delete=part.lease.arguments["repair"], limit=10_000
            )
            findings["code_without_picture"] += stray
            repaired += stray if part.lease.arguments["repair"] else 0
            checkpoint = {"collection": record.pk + 1, "findings": findings, "repaired": repaired}
            batch.save(checkpoint)
    if "done" not in part.checkpoint:
        repaired = await _index_files(services, part, findings, repaired)
    repaired = await _remote_copies(services, part, findings, repaired)
    return {"pictures": total, "findings": findings, "repaired": repaired}


async def _index_files(
    services: WorkerServices, part: HeldPart, findings: dict[str, int], repaired: int
) -> int:
    """Check the snapshot files; return the number repaired."""
    faulty = await services.index_files.check()
    if part.lease.arguments["repair"]:
        for one in faulty:
            await services.index_files.repair(one)
        repaired += len(faulty)
    async with part.batch() as batch:
        # After the positions of all pictures.
        place = await batch.unit.feed.latest() + 1
        items = [
            JobItemRecord(place + i, ItemStatus.FAILED, one.file, None, one.fault, one.detail)
            for i, one in enumerate(faulty)
        ]
        for one in faulty:
            findings[one.fault] += 1
        checkpoint = {
            **part.checkpoint,
            "findings": findings,
            "repaired": repaired,
            "done": True,
            "place": place + len(items),
        }
        batch.save(checkpoint, items=items, phase="index files")
    return repaired


async def _remote_copies(
    services: WorkerServices, part: HeldPart, findings: dict[str, int], repaired: int
) -> int:
    """Compare the rows of indexes on another server; return the number repaired."""
    at, after = part.checkpoint.get("copy", 0), part.checkpoint.get("row", -1)
    place: int = part.checkpoint.get("place", 0)
    for i, copy in enumerate(await services.remote_check.copies()):
        if i < at:
            continue
        after = after if i == at else -1
        is_last = False
        while not is_last:
            faults: list[tuple[RemoteFault, int, str]] = []
            try:
                found = await services.remote_check.compare(copy, after)
                faults = [(fault, len(numbers), _listed(numbers)) for fault, numbers in found.by_fault.items()]
                if part.lease.arguments["repair"]:
                    repaired += await services.remote_check.repair(copy, found)
                is_last, after = found.is_last, found.last
            except IndexUnavailable as unavailable:
                faults.append((RemoteFault.UNAVAILABLE, 1, unavailable.detail))
                is_last = True
            for fault, count, _ in faults:
                findings[fault] += count
            name = f"{copy.record.name} under {copy.model}"
            items = [
                JobItemRecord(place + n, ItemStatus.FAILED, name, None, fault, detail)
                for n, (fault, _, detail) in enumerate(faults)
            ]
            place += len(items)
            async with part.batch() as batch:
                checkpoint = {
                    **part.checkpoint,
                    "findings": findings,
                    "repaired": repaired,
                    "copy": i + is_last,
                    "row": -1 if is_last else after,
                    "place": place,
                }
                batch.save(checkpoint, items=items, phase="index engine")
    return repaired


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:SHOWN_NUMBERS]))
    return f"{len(numbers)} pictures, by insertion number: {shown}{', …' if numbers[SHOWN_NUMBERS:] else ''}"


class _Look:
    """Checks pictures of one collection."""

    def __init__(self, services: WorkerServices, record: CollectionRecord, asked: dict[str, Any]) -> None:
        self._services = services
        self._record = record
        self._asked = asked
        self._encoded = EncodingResult()
        self._invalid: list[int] = []
        self._restored = 0

    async def page(self, after: int) -> list[ImageRecord]:
        async with self._services.database.read() as unit:
            return await unit.images.page(self._record.pk, after, PAGE)

    async def at(self, images: Sequence[ImageRecord]) -> list[JobItemRecord]:
        """Return the faults of these pictures, at most one item for each."""
        model = self._record.model
        length = await self._services.models.bits(model) // 8
        async with self._services.database.read() as unit:
            codes = await unit.images.codes_of(self._record.pk, model, [image.number for image in images])
            reasons = await unit.coverage.reasons_of(self._record.pk, model, [image.number for image in images])
        items, lacking = [], []
        for image in images:
            code = codes.get(image.number)
            if code is not None and len(code) != length:
                self._invalid.append(image.number)
                lacking.append(image)
                items.append(_item(image, "code_invalid", f"a code of {len(code)} bytes instead of {length}"))
            elif code is None and image.number not in reasons:
                lacking.append(image)
                items.append(_item(image, "code_missing", f"it has no code under {model}, and no reason why"))
            elif (wrong := await self._file_fault(image)) is not None:
                items.append(wrong)
                if self._asked["repair"] and await self._services.lost_files.restore(image):
                    self._restored += 1
        if self._asked["repair"] and lacking:
            self._encoded = await self._services.reencoding.encode(lacking, model)
        return items

    async def repair(self, unit: Any) -> int:
        """Write missing codes; return the number of codes and files that were repaired."""
        if not self._asked["repair"]:
            return 0
        await unit.coverage.delete_codes(self._record.pk, self._record.model, self._invalid)
        return self._restored + int(await self._encoded.write(unit, self._record.pk, self._record.model))

    async def _file_fault(self, image: ImageRecord) -> JobItemRecord | None:
        if not image.has_bytes:
            return None
        try:
            if not self._asked["deep"]:
                if await self._services.pictures.exists(image.sha256):
                    return None
                return _item(image, "file_missing", "its file is not in the picture store")
            await self._services.pictures.get(image.sha256)
        except FileDamaged as damaged:
            return _item(image, "file_damaged", damaged.detail)
        except PictureGone:
            return _item(image, "file_missing", "its file is not in the picture store")
        return None


def _item(image: ImageRecord, code: str, detail: str) -> JobItemRecord:
    return JobItemRecord(image.number, ItemStatus.FAILED, image.image_id, image.image_id, code, detail)
