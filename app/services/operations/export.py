"""Export collections."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence

from app.domain.images import ImageRecord
from app.store.engine import Database


class Export:
    """Reads whole collections as lines of JSON."""

    def __init__(self, database: Database) -> None:
        """Create the service on a database."""
        self._database = database

    async def lines(self, collection_pk: int, model: str) -> AsyncIterator[bytes]:
        """Yield a collection's pictures in insertion order, as lines of JSON with their codes under a model."""
        after = -1
        while True:
            async with self._database.read() as unit:
                page = await unit.images.page(collection_pk, after, 1_000)
                coded = await unit.images.codes_of(collection_pk, model, [image.number for image in page])
            if not page:
                return
            after = page[-1].number
            yield await asyncio.to_thread(_ndjson, page, coded, model)


def _ndjson(page: Sequence[ImageRecord], coded: Mapping[int, bytes], model: str) -> bytes:
    lines = []
    for image in page:
        code = coded.get(image.number)
        line = {
            "id": image.image_id,
            "sha256": image.sha256,
            "uri": image.uri,
            "metadata": image.metadata,
            "width": image.width,
            "height": image.height,
            "media_type": image.media_type,
            "size_bytes": image.size_bytes,
            "created_at": image.created_at.isoformat(),
            "model": model,
            "code": None if code is None else code.hex(),
        }
        lines.append(json.dumps(line, ensure_ascii=False))
    return ("\n".join(lines) + "\n").encode()
