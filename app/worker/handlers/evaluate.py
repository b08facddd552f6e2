"""``evaluate`` jobs: measure how well a collection's codes retrieve pictures with the same label."""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.bootstrap import WorkerServices
from app.domain.codes import codes_from_bytes
from app.domain.errors import InvalidRequest, UnknownCollection
from app.jobs.leases import HeldPart
from app.jobs.runner import Handler
from app.jobs.steps import RepeatedSteps

PAGE: Final = 1_000
MIN_PICTURES: Final = 20


def make_handler(services: WorkerServices) -> Handler:
    """Return the handler of ``evaluate`` jobs."""
    return partial(evaluate, services)


@dataclass(frozen=True, slots=True)
class _Read:
    """Labels, codes and digests of a collection's pictures, by picture id."""

    collection: str
    bits: int
    training: dict[str, Any]
    """The section ``training`` of the model's model.json."""
    labels: dict[str, str] = field(default_factory=dict)
    codes: dict[str, bytes] = field(default_factory=dict)
    sha256s: dict[str, str] = field(default_factory=dict)

    def matrix(self, ids: tuple[str, ...]) -> NDArray[np.uint64]:
        """Return the codes of these pictures, shape (n, words), uint64."""
        return codes_from_bytes(b"".join(self.codes[image_id] for image_id in ids), self.bits)


async def evaluate(services: WorkerServices, part: HeldPart) -> dict[str, Any]:
    """Rank the gallery by stored codes for every tenth picture of each label."""
    asked = part.lease.arguments
    pk, model, label = asked["collection_pk"], asked["model"], asked["label"]
    record = (await services.models.report(model)).record
    read = _Read(asked["collection"], record.bits, record.document["training"])
    steps = RepeatedSteps(part)
    unlabelled = uncoded = 0
    after = -1
    while True:
        async with services.database.read() as unit:
            if await unit.collections.by_pk(pk) is None:
                raise UnknownCollection
            total = await unit.images.count(pk)
            page = await unit.images.page(pk, after, PAGE)
            coded = await unit.images.codes_of(pk, model, [image.number for image in page])
        for image in page:
            after = image.number
            if image.metadata.get(label) is None:
                unlabelled += 1
            elif image.number not in coded:
                uncoded += 1
            else:
                read.labels[image.image_id] = str(image.metadata[label])
                read.codes[image.image_id] = coded[image.number]
                read.sha256s[image.image_id] = image.sha256
        # After a kill, reading starts over, which takes seconds.
        await steps.add(len(page), total, "reading")
        if len(page) < PAGE:
            break
    if len(set(read.labels.values())) < 2 or len(read.labels) < MIN_PICTURES:
        raise InvalidRequest(f"fewer than {MIN_PICTURES} pictures of two kinds have a {label!r} and a code")
    figures = await asyncio.to_thread(_measure, read)
    return {"model": model, "bits": read.bits, "unlabelled": unlabelled, "without_code": uncoded} | figures


def _measure(read: _Read) -> dict[str, Any]:
    from app.learning.datasets.pictures import checksum_of  # noqa: PLC0415 - the API process never loads it
    from app.learning.datasets.training_splits import split_by_labels  # noqa: PLC0415
    from app.learning.evaluation.bits import bit_use  # noqa: PLC0415
    from app.learning.evaluation.curves import RankingCurves, bit_curves  # noqa: PLC0415
    from app.learning.evaluation.metrics import figures, rank_codes  # noqa: PLC0415
    from app.learning.evaluation.protocol import UNKNOWN, Protocol  # noqa: PLC0415

    split = split_by_labels(read.collection, sorted(read.labels.items()), lambda image_id: read.codes[image_id])
    gallery, queries = (read.matrix(part.names) for part in (split.gallery, split.queries))
    curves = RankingCurves(read.bits)
    ranked = curves.watch(rank_codes(queries, split.queries.labels, gallery, split.gallery.labels, read.bits))
    gallery_sha256s, queries_sha256s = (
        [read.sha256s[name] for name in part.names] for part in (split.gallery, split.queries)
    )
    known = set(gallery_sha256s)
    protocol = Protocol(
        collection=read.collection,
        split=split.rule,
        gallery=len(split.gallery),
        queries=len(split.queries),
        gallery_sha256=checksum_of(split.gallery.names, gallery_sha256s),
        queries_sha256=checksum_of(split.queries.names, queries_sha256s),
        queries_in_gallery=sum(sha256 in known for sha256 in queries_sha256s),
        training_seed=read.training.get("seed", UNKNOWN),
        split_seed=split.seed,
    )
    return {
        "figures": figures(ranked).as_dict(),
        "curves": curves.as_dict() | bit_curves(gallery, read.bits),
        "bits_used": bit_use(gallery, read.bits).as_dict(),
        "protocol": {**protocol.as_dict(), "kinds": len(split.gallery.kinds)},
    }
