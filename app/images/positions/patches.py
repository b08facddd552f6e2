"""Bytes that replace others of the same length."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

MAX_STEPS: Final = 200_000
"""Parts of metadata that are looked at in one file; files of cameras and editors have some hundreds."""
Span = tuple[int, int, bytes]
"""Start, end, and the bytes to repeat between them; the length is a multiple of theirs."""


class TooMuchMetadata(ValueError):
    """A file has more metadata than is searched, so a position may be left in it."""


class Steps:
    """Counts the parts of a file's metadata, which may refer to each other to look like far more."""

    def __init__(self) -> None:
        self._left = MAX_STEPS

    def take(self, number: int = 1) -> None:
        """Count ``number`` parts.

        Raises:
            TooMuchMetadata: There are more than ``MAX_STEPS``.
        """
        self._left -= number
        if self._left < 0:
            raise TooMuchMetadata("the file has too much metadata to be searched for positions")


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
    """Return patches for spans, whose overlaps are cut off first: together they are no longer than the file."""
    patches: list[Patch] = []
    at = 0
    for start, end, fill in sorted(spans, key=lambda one: (one[0], -one[1])):
        if end > at:
            cut = max(start, at)
            phase = (cut - start) % len(fill)
            patches.append(Patch(cut, (fill * ((end - cut) // len(fill) + 2))[phase : phase + end - cut]))
            at = end
    return patches


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
    """Return a piece of a file, which begins at offset ``start``, with the ordered patches applied."""
    changed = None
    end = start + len(piece)
    for i in range(first_behind(patches, start), len(patches)):
        patch = patches[i]
        if patch.start >= end:
            break
        first, last = max(patch.start, start), min(patch.end, end)
        changed = changed if changed is not None else bytearray(piece)
        changed[first - start : last - start] = patch.content[first - patch.start : last - patch.start]
    return piece if changed is None else bytes(changed)


def first_behind(patches: Sequence[Patch], at: int) -> int:
    """Return the index of the first of ordered patches that ends behind offset ``at``."""
    return bisect_right(patches, at, key=lambda patch: patch.end)
