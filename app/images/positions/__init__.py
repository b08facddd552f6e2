"""Remove where a picture was taken from its file without touching its pixels.

Positions and names of places are in EXIF data, XMP, IPTC data and the metadata of films that telephones append.
Each kind is found by its own structure instead of by each container's, since none of them is compressed or in
parts except in PNG text chunks, JPEG XL boxes, and items of HEIC and AVIF. They are overwritten in place: sizes
and offsets stay valid.
"""

from app.images.positions.boxes import box_patches
from app.images.positions.iptc import iptc_spans
from app.images.positions.items import item_spans, metadata_items, without_scattered
from app.images.positions.patches import Patch, Steps, TooMuchMetadata, apply_patches, merged, patches_of
from app.images.positions.png import PNG_SIGNATURE, text_patches, with_checksums
from app.images.positions.tiff import tiff_spans
from app.images.positions.xmp import json_spans, xmp_spans

__all__ = ["Patch", "TooMuchMetadata", "apply_patches", "patches_against_positions"]


def patches_against_positions(content: bytes) -> list[Patch]:
    """Return what to overwrite in a picture's file, ordered and without overlaps.

    Raises:
        TooMuchMetadata: The file has more metadata than can be searched in a second or two.
    """
    steps = Steps()
    items = metadata_items(content, steps)
    contiguous = without_scattered(content, items)
    searches = (tiff_spans, xmp_spans, json_spans, iptc_spans)
    spans = [span for search in searches for span in search(contiguous, steps)]
    spans += item_spans(content, items, steps)
    patches = [*patches_of(spans), *box_patches(content, steps)]
    if content.startswith(PNG_SIGNATURE):
        return with_checksums(content, merged([*patches, *text_patches(content, steps)]))
    return merged(patches)
