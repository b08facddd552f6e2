"""Find positions in boxes of ISO media: packed metadata of JPEG XL, and films behind the pictures of phones."""

import re
import struct
from collections.abc import Iterator
from typing import Final

from app.images.positions.patches import Patch, Steps

_JPEG_XL: Final = b"\0\0\0\x0cJXL \r\n\x87\n"
_PACKED: Final = re.compile(rb"brob(?:Exif|xml |jumb)")
_ORIGINAL: Final = re.compile(rb"jbrd")
"""What restores the JPEG that a JPEG XL was made of: its IPTC data and comments are packed in it."""
_LOCI: Final = re.compile(rb"\0\0..loci\0\0\0\0", re.DOTALL)
"""The position of a film as 3GPP writes it."""
_ISO_6709: Final = re.compile(
    rb"[+-]\d{2,6}(?:\.\d{1,12})?[+-]\d{3,7}(?:\.\d{1,12})?(?:[+-]\d{1,6}(?:\.\d{1,12})?)?(?:CRS\w{1,20})?/"
)
"""The position of a film as QuickTime writes it: +52.5252+013.4076/."""


def box_patches(content: bytes, steps: Steps) -> Iterator[Patch]:
    """Yield patches that replace boxes with a position by free space, and positions in text by blanks.

    Raises:
        TooMuchMetadata: There are too many.
    """
    if content.startswith(_JPEG_XL):
        yield from _freed(content, _PACKED, 4, steps)
        yield from _freed(content, _ORIGINAL, 4, steps)
    yield from _freed(content, _LOCI, 0, steps)
    for found in _ISO_6709.finditer(content):
        steps.take()
        yield Patch(found.start(), b" " * len(found.group()))


def _freed(content: bytes, form: re.Pattern[bytes], offset: int, steps: Steps) -> Iterator[Patch]:
    """Free the boxes of a form, which is found ``offset`` bytes behind their start."""
    behind = 0
    for found in form.finditer(content):
        steps.take()
        at = found.start() - offset
        if at < behind:
            continue  # within a box that is freed already
        (size,) = struct.unpack_from(">I", content, at)
        end = len(content) if size == 0 else min(at + size, len(content))
        if end > at + 8:
            yield Patch(at + 4, b"free" + bytes(end - at - 8))
            behind = end
