"""The list of what an import takes in: one line of JSON an item, and where each line begins.

An import is planned once. Its parts then read their own lines alone, so that no worker ever holds the whole
list, and any item can be found again by its position.
"""

import json
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import IO, Any

from app.images.entries import Entry


@dataclass(frozen=True, slots=True)
class SourceItem:
    """One picture to import, and where its bytes are."""

    name: str
    """What the source calls it, for people."""
    uri: str | None = None
    """Kept with the picture; without ``entry`` also where its bytes are read."""
    image_id: str | None = None
    metadata: dict[str, Any] | None = None
    entry: Entry | None = None
    """Its bytes in the archive."""
    error: tuple[str, str] | None = None
    """Why it was refused already: code and detail."""

    def as_line(self) -> bytes:
        """One line of JSON."""
        fields = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(fields, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> "SourceItem":
        """Inverse of ``as_line``."""
        fields = json.loads(line)
        if "entry" in fields:
            fields["entry"] = Entry(**fields["entry"])
        if "error" in fields:
            fields["error"] = (fields["error"][0], fields["error"][1])
        return cls(**fields)


def write_lines(items: Iterable[SourceItem], lines: IO[bytes]) -> None:
    """Write a manifest."""
    for item in items:
        lines.write(item.as_line())


def write_offsets(lines: IO[bytes], offsets: IO[bytes]) -> int:
    """Write where each line of a manifest begins and the last one ends; returns how many there are."""
    place, count = 0, 0
    batch = array("Q", [0])
    for line in lines:
        place += len(line)
        count += 1
        batch.append(place)
        if len(batch) >= 8_192:
            batch.tofile(offsets)
            batch = array("Q")
    batch.tofile(offsets)
    return count


class Manifest:
    """Reads items of a manifest by their positions."""

    def __init__(self, lines: IO[bytes], offsets: IO[bytes]) -> None:
        """Read from two files that ``write_lines`` and ``write_offsets`` wrote."""
        self._lines = lines
        self._offsets = offsets

    def close(self) -> None:
        """Close both files."""
        self._lines.close()
        self._offsets.close()

    def items(self, positions: Sequence[int]) -> list[SourceItem]:
        """The items at these positions, in their order."""
        return [SourceItem.of_line(self._line(position)) for position in positions]

    def _line(self, position: int) -> bytes:
        width = array("Q").itemsize
        self._offsets.seek(position * width)
        start, end = array("Q", self._offsets.read(2 * width))
        self._lines.seek(start)
        return self._lines.read(end - start)
