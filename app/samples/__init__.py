"""The sample gallery: pictures that the package ships, so that a new service has some to search."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).resolve().parent
INDEX: Final = FOLDER / "index.json"
"""One entry a picture, written by ``tools/make_samples.py``: ``id``, ``file``, ``sha256`` and ``metadata``."""
CODES: Final = FOLDER / "codes.json"
"""What one model gives for every picture, written by ``tools/make_sample_codes.py``."""


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


@dataclass(frozen=True, slots=True)
class SampleCode:
    """What decoding and encoding one shipped picture gives."""

    width: int
    height: int
    is_blank: bool
    code: bytes
    descriptor: bytes | None
    hash: bytes | None
    """The perceptual hash; None if the picture has too little detail."""
    colours: bytes
    """The colour signature."""


def sample_codes(digest: str) -> dict[str, SampleCode]:
    """The codes of the shipped pictures by SHA-256; empty unless they are of the model with this digest."""
    document = json.loads(CODES.read_text())
    if document["digest"] != digest:
        return {}
    return {
        sha256: SampleCode(
            entry["width"],
            entry["height"],
            entry["is_blank"],
            base64.b64decode(entry["code"]),
            None if entry["descriptor"] is None else base64.b64decode(entry["descriptor"]),
            None if entry["hash"] is None else base64.b64decode(entry["hash"]),
            base64.b64decode(entry["colours"]),
        )
        for sha256, entry in document["pictures"].items()
    }


def samples() -> Iterator[Sample]:
    """The shipped pictures, in the order in which they are added."""
    for entry in json.loads(INDEX.read_text()):
        yield Sample(entry["id"], entry["file"], entry["sha256"], entry["metadata"])
