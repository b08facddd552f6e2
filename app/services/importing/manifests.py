"""The manifest of an import: one line of JSON for each item, and the offset of each line.

An import is planned once. Each part reads only its own lines, by position, so no worker loads the whole list.
"""

import json
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import IO, Any

from app.images.entries import Entry


@dataclass(frozen=True, slots=True)
class SourceItem:
    """A picture to import, and where to read it."""

    name: str
    """Name in the source, for display."""
    uri: str | None = None
    """Stored with the picture; if ``entry`` is None, also the address to read it from."""
    image_id: str | None = None
    metadata: dict[str, Any] | None = None
    entry: Entry | None = None
    """Location of its bytes in the archive."""
    error: tuple[str, str] | None = None
    """Code and detail, if planning refused the item."""

    def to_line(self) -> bytes:
        """Return the item as one line of JSON."""
        fields = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(fields, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "SourceItem":
        """Parse a line that ``to_line`` wrote."""
        fields = json.loads(line)
        if "entry" in fields:
            fields["entry"] = Entry(**fields["entry"])
        if "error" in fields:
            fields["error"] = (fields["error"][0], fields["error"][1])
        return cls(**fields)


def write_lines(items: Iterable[SourceItem], lines: IO[bytes]) -> None:
    """Write the lines of a manifest."""
    for item in items:
        lines.write(item.to_line())


def write_offsets(lines: IO[bytes], offsets: IO[bytes]) -> int:
    """Write the offset of each line of a manifest, and of its end; return the number of lines."""
    offset, count = 0, 0
    batch = array("Q", [0])
    for line in lines:
        offset += len(line)
        count += 1
        batch.append(offset)
        if len(batch) >= 8_192:
            batch.tofile(offsets)
            batch = array("Q")
    batch.tofile(offsets)
    return count


class Manifest:
    """Read items of a manifest by position."""

    def __init__(self, lines: IO[bytes], offsets: IO[bytes]) -> None:
        """Read from the files that ``write_lines`` and ``write_offsets`` wrote."""
        self._lines = lines
        self._offsets = offsets

    def close(self) -> None:
        """Close both files."""
        self._lines.close()
        self._offsets.close()

    def items(self, positions: Sequence[int]) -> list[SourceItem]:
        """Return the items at these positions, in order."""
        return [SourceItem.from_line(self._line(position)) for position in positions]

    def _line(self, position: int) -> bytes:
        width = array("Q").itemsize
        self._offsets.seek(position * width)
        start, end = array("Q", self._offsets.read(2 * width))
        self._lines.seek(start)
        return self._lines.read(end - start)
