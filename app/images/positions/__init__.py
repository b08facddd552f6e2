"""Remove where a picture was taken from its file without touching its pixels.

Positions and names of places are in EXIF data, XMP, IPTC data and the metadata of films that telephones append.
Each kind is found by its own structure instead of by each container's, since none of them is compressed except
in PNG text chunks and JPEG XL boxes. They are overwritten in place: sizes and offsets stay valid.
"""

from app.images.positions.boxes import box_patches
from app.images.positions.iptc import iptc_spans
from app.images.positions.patches import Patch, Steps, TooMuchMetadata, apply_patches, merged, patches_of
from app.images.positions.png import PNG_SIGNATURE, text_patches, with_checksums
from app.images.positions.tiff import tiff_spans
from app.images.positions.xmp import xmp_spans

__all__ = ["Patch", "TooMuchMetadata", "apply_patches", "patches_against_positions"]


def patches_against_positions(content: bytes) -> list[Patch]:
    """Return what to overwrite in a picture's file, ordered and without overlaps.

    Raises:
        TooMuchMetadata: The file has more metadata than can be searched in a second or two.
    """
    steps = Steps()
    spans = [*tiff_spans(content, steps), *xmp_spans(content, steps), *iptc_spans(content, steps)]
    patches = [*patches_of(spans), *box_patches(content, steps)]
    if content.startswith(PNG_SIGNATURE):
        return with_checksums(content, merged([*patches, *text_patches(content, steps)]))
    return merged(patches)
