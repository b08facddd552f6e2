"""``evaluate``: how well a collection's codes find pictures of one kind, by its own labels."""

import asyncio
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.bootstrap import Services
from app.domain.codes import codes_from_bytes
from app.domain.errors import InvalidRequest, UnknownCollection
from app.jobs.leases import HeldPart
from app.jobs.runner import Handler

PAGE: Final = 1_000
MIN_PICTURES: Final = 20


def make_handler(services: Services) -> Handler:
    """The handler of ``evaluate`` jobs."""
    return partial(evaluate, services)


async def evaluate(services: Services, part: HeldPart) -> dict[str, Any]:
    """Rank the gallery for every tenth picture of each kind, by the stored codes."""
    asked = part.lease.arguments
    pk, model, label = asked["collection_pk"], asked["model"], asked["label"]
    bits = await services.models.bits(model)
    labels: dict[str, str] = {}
    codes: dict[str, bytes] = {}
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
                labels[image.image_id] = str(image.metadata[label])
                codes[image.image_id] = coded[image.number]
        async with part.batch() as batch:
            # Reading starts anew after a kill: it is over in seconds.
            batch.save({}, done=len(page), total=total, phase="reading")
        if len(page) < PAGE:
            break
    if len(set(labels.values())) < 2 or len(labels) < MIN_PICTURES:
        raise InvalidRequest(f"fewer than {MIN_PICTURES} pictures of two kinds have a {label!r} and a code")
    figures = await asyncio.to_thread(_measure, asked["collection"], labels, codes, bits)
    return {"model": model, "bits": bits, "unlabelled": unlabelled, "without_code": uncoded} | figures


def _measure(collection: str, labels: dict[str, str], codes: dict[str, bytes], bits: int) -> dict[str, Any]:
    from app.learning.datasets.stored import split_by_labels  # noqa: PLC0415 - the API process never loads it
    from app.learning.evaluation.bits import bit_use  # noqa: PLC0415
    from app.learning.evaluation.metrics import figures, rank_codes  # noqa: PLC0415
    from app.learning.evaluation.protocol import TIES  # noqa: PLC0415

    split = split_by_labels(collection, sorted(labels.items()), lambda image_id: codes[image_id])

    def matrix(names: tuple[str, ...]) -> NDArray[np.uint64]:
        return codes_from_bytes(b"".join(codes[name] for name in names), bits)

    gallery = matrix(split.gallery.names)
    ranked = rank_codes(matrix(split.queries.names), split.queries.labels, gallery, split.gallery.labels, bits)
    return {
        "figures": figures(ranked).as_dict(),
        "bits_used": bit_use(gallery, bits).as_dict(),
        "protocol": {
            "collection": collection,
            "split": split.rule,
            "gallery": len(split.gallery),
            "queries": len(split.queries),
            "kinds": len(split.gallery.kinds),
            "relevant": "same kind",
            "ties": TIES,
        },
    }
