"""Pictures, models and collections to fill a database with."""

from typing import Any

from app.domain.collections import CollectionRecord
from app.domain.ids import sha256_hex
from app.domain.images import ImageCode, NewImage
from app.store.engine import Database

MODEL = "tiny-16"
BITS = 16


def new_image(image_id: str, content: bytes | None = None, **changes: Any) -> NewImage:
    """A picture whose file, and so code, follow from ``content``, by default its id."""
    octets = image_id.encode() if content is None else content
    fields: dict[str, Any] = {
        "image_id": image_id,
        "sha256": sha256_hex(octets),
        "uri": None,
        "metadata": {},
        "width": 4,
        "height": 3,
        "media_type": "image/png",
        "size_bytes": len(octets),
        "has_bytes": True,
        "codes": (ImageCode(MODEL, code_for(octets)),),
    }
    return NewImage(**fields | changes)


def code_for(content: bytes) -> bytes:
    return bytes.fromhex(sha256_hex(content))[: BITS // 8]


async def register_model(database: Database, name: str = MODEL, bits: int = BITS) -> None:
    async with database.write() as unit:
        await unit.models.register(
            name,
            digest=sha256_hex(name.encode()),
            bits=bits,
            descriptor_bytes=0,
            origin="shipped",
            document={"bits": bits},
            location=name,
        )


async def make_collection(database: Database, name: str = "default") -> CollectionRecord:
    await register_model(database)
    async with database.write() as unit:
        return await unit.collections.create(name, model=MODEL, keeps="copies")


async def add(database: Database, collection: CollectionRecord, *new: NewImage) -> list[int]:
    async with database.write() as unit:
        return await unit.images.add(collection.pk, new)
