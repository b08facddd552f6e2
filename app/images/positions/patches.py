"""Bytes that replace others of the same length."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Span = tuple[int, int, bytes]
"""Start, end, and the bytes to repeat between them; the length is a multiple of theirs."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes that replace others of the same length in a file."""

    start: int
    content: bytes

    @property
    def end(self) -> int:
        """Offset of the byte behind it."""
        return self.start + len(self.content)


def patches_of(spans: Iterable[Span]) -> list[Patch]:
    """Return a patch for each span."""
    return [Patch(start, fill * ((end - start) // len(fill))) for start, end, fill in spans]


def merged(patches: Sequence[Patch]) -> list[Patch]:
    """Order patches and cut overlaps off, so that each byte is in one."""
    ordered: list[Patch] = []
    end = 0
    for patch in sorted(patches, key=lambda one: (one.start, -one.end)):
        if patch.end <= end:
            continue
        ordered.append(Patch(max(patch.start, end), patch.content[max(0, end - patch.start) :]))
        end = patch.end
    return ordered


def apply_patches(piece: bytes, start: int, patches: Sequence[Patch]) -> bytes:
    """Return a piece of a file, which begins at offset ``start``, with the patches applied."""
    changed = None
    for patch in patches:
        first, last = max(patch.start, start), min(patch.end, start + len(piece))
        if first < last:
            changed = changed if changed is not None else bytearray(piece)
            changed[first - start : last - start] = patch.content[first - patch.start : last - patch.start]
    return piece if changed is None else bytes(changed)
