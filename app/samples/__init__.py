"""The sample gallery: pictures that the package ships, so that a new service has some to search."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).resolve().parent
INDEX: Final = FOLDER / "index.json"
"""One entry a picture, written by ``tools/make_samples.py``: ``id``, ``file``, ``sha256`` and ``metadata``."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One shipped picture."""

    image_id: str
    file: str
    """Path below ``FOLDER``, with forward slashes."""
    sha256: str
    metadata: dict[str, Any]

    def read(self) -> bytes:
        """The bytes of its JPEG file."""
        return (FOLDER / self.file).read_bytes()

    @property
    def uri(self) -> str:
        """The uri that it is stored under."""
        return f"sample/{Path(self.file).name}"


def samples() -> Iterator[Sample]:
    """The shipped pictures, in the order in which they are added."""
    for entry in json.loads(INDEX.read_text()):
        yield Sample(entry["id"], entry["file"], entry["sha256"], entry["metadata"])
