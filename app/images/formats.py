"""The formats that are decoded, the formats that are only recognised, and their signatures.

This is the only list of accepted formats. ``/info``, the text of ``/docs``, the ``accepted`` field of a refusal
and the README come from it or are compared with it.
"""

from dataclasses import dataclass
from typing import Final

from app.domain.errors import NotAnImage, UnsupportedFormat
from app.images.containers.bmff import brands_of, holds_coding

_TEXT_BYTES: Final = 1_024
"""Number of bytes searched for the signature of a text format."""


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """A format that is decoded."""

    name: str
    decoder: str
    """Name of its Pillow plugin."""
    media_types: tuple[str, ...]
    """The default one comes first."""
    pixel_allowance: float = 1.0
    """Multiple of the pixel limit that is allowed, for decoders that can scale down while decoding."""
    is_animated: bool = False
    """Whether several pictures in a file are frames of an animation."""


JPEG: Final = PictureFormat("JPEG", "JPEG", ("image/jpeg",), pixel_allowance=6.0)
PNG: Final = PictureFormat("PNG", "PNG", ("image/png",), is_animated=True)
GIF: Final = PictureFormat("GIF", "GIF", ("image/gif",), is_animated=True)
WEBP: Final = PictureFormat("WEBP", "WEBP", ("image/webp",), is_animated=True)
BMP: Final = PictureFormat("BMP", "BMP", ("image/bmp",))
TIFF: Final = PictureFormat("TIFF", "TIFF", ("image/tiff",))
AVIF: Final = PictureFormat("AVIF", "AVIF", ("image/avif",), pixel_allowance=1.5, is_animated=True)
HEIF: Final = PictureFormat("HEIF", "HEIF", ("image/heic", "image/heif"), 1.5)
JPEG_XL: Final = PictureFormat("JPEG XL", "JXL", ("image/jxl",))
JPEG_2000: Final = PictureFormat("JPEG 2000", "JPEG2000", ("image/jp2", "image/j2c"))

ACCEPTED: Final = (JPEG, PNG, GIF, WEBP, BMP, TIFF, AVIF, HEIF, JPEG_XL, JPEG_2000)
"""All formats that are decoded."""
ACCEPTED_MEDIA_TYPES: Final = tuple(kind for one in ACCEPTED for kind in one.media_types)
ACCEPTED_NAMES: Final = ", ".join(one.name for one in ACCEPTED[:-1]) + f" and {ACCEPTED[-1].name}"
"""The names as an enumeration for sentences."""

_BY_PREFIX: Final = (
    (b"\xff\xd8\xff", JPEG, "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", PNG, "image/png"),
    (b"GIF87a", GIF, "image/gif"),
    (b"GIF89a", GIF, "image/gif"),
    (b"BM", BMP, "image/bmp"),
    (b"\xff\x0a", JPEG_XL, "image/jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", JPEG_XL, "image/jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", JPEG_2000, "image/jp2"),
    (b"\xff\x4f\xff\x51", JPEG_2000, "image/j2c"),
)
_RAW: Final = "a camera's RAW picture"
_VIDEO: Final = "a video"
_RECOGNISED: Final = (
    # RAW formats that extend TIFF are checked before TIFF itself.
    (b"IIRO", f"{_RAW} (ORF)"),
    (b"IIRS", f"{_RAW} (ORF)"),
    (b"MMOR", f"{_RAW} (ORF)"),
    (b"IIU\0", f"{_RAW} (RW2)"),
    (b"FUJIFILMCCD-RAW", f"{_RAW} (RAF)"),
    (b"FOVb", f"{_RAW} (X3F)"),
    (b"\0MRM", f"{_RAW} (MRW)"),
    (b"II+\0", "a BigTIFF"),
    (b"MM\0+", "a BigTIFF"),
    (b"II\xbc\x01", "a JPEG XR picture"),
    (b"8BPS", "a Photoshop document (PSD)"),
    (b"%PDF-", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript document"),
    (b"gimp xcf", "a GIMP picture (XCF)"),
    (b"\0\0\x01\0", "an icon (ICO)"),
    (b"\0\0\x02\0", "a cursor (CUR)"),
    (b"icns", "an icon (ICNS)"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance HDR picture"),
    (b"#?RGBE", "a Radiance HDR picture"),
    (b"DDS ", "a DirectDraw texture (DDS)"),
    (b"qoif", "a QOI picture"),
    (b"farbfeld", "a farbfeld picture"),
    (b"FLIF", "a FLIF picture"),
    (b"BPG\xfb", "a BPG picture"),
    (b"\xabKTX ", "a KTX texture"),
    (b"SIMPLE  =", "a FITS picture"),
    (b"AT&TFORM", "a DjVu document"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF)"),
    (b"\x97JB2\r\n\x1a\n", "a JBIG2 picture"),
    (b"\x8bJNG\r\n\x1a\n", "a JNG picture"),
    (b"\x8aMNG\r\n\x1a\n", "an MNG animation"),
    (b"\x01\xda", "an SGI picture"),
    (b"\x59\xa6\x6a\x95", "a Sun raster picture"),
    (b"\x1aE\xdf\xa3", _VIDEO),
    (b"FLV\x01", _VIDEO),
    (b"\0\0\x01\xba", _VIDEO),
    (b"\0\0\x01\xb3", _VIDEO),
    (b"0&\xb2u\x8ef\xcf\x11", _VIDEO),
    (b"OggS", "an audio or video file"),
    (b"ID3", "an audio file"),
    (b"fLaC", "an audio file"),
    (b"PK\x03\x04", "a ZIP archive or a document packed as one"),
    (b"\x1f\x8b", "a gzip file"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
)
_HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_IMAGE_BRANDS: Final = frozenset({b"mif1", b"mif2", b"msf1", b"miaf"})
_VIDEO_BRANDS: Final = (
    b"mp4",
    b"iso",
    b"avc",
    b"qt  ",
    b"M4V",
    b"M4A",
    b"M4P",
    b"3g",
    b"dash",
    b"MSNV",
    b"f4v",
)


def identify(content: bytes) -> tuple[PictureFormat, str]:
    """Return the format and the media type of a file, by its content alone.

    Raises:
        UnsupportedFormat: The format is known but not decoded.
        NotAnImage: The format is unknown.
    """
    for prefix, found, media_type in _BY_PREFIX:
        if content.startswith(prefix):
            return found, media_type
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return WEBP, WEBP.media_types[0]
    brands = brands_of(content)
    if brands:
        return _of_brands(content, brands)
    kind = _recognised(content)
    if kind is not None:
        raise unsupported(kind)
    if content[:4] in {b"II*\0", b"MM\0*"}:
        return TIFF, TIFF.media_types[0]
    raise NotAnImage("the file is empty" if not content else None)


def unsupported(kind: str) -> UnsupportedFormat:
    """Return the refusal of a file of a known kind, such as ``a PDF document``."""
    return UnsupportedFormat(f"the file is {kind}, which is not supported; use {ACCEPTED_NAMES}")


def _of_brands(content: bytes, brands: tuple[bytes, ...]) -> tuple[PictureFormat, str]:
    """Identify an ISO base media file by its brands; the major brand comes first, as the standard requires."""
    for brand in brands:
        if brand in _AVIF_BRANDS:
            return AVIF, AVIF.media_types[0]
        if brand in _HEIC_BRANDS:
            return HEIF, "image/heic"
        if brand == b"crx ":
            raise unsupported(f"{_RAW} (CR3)")
    if _IMAGE_BRANDS & set(brands):
        if holds_coding(content, b"av01"):
            return AVIF, AVIF.media_types[0]
        if holds_coding(content, b"hvc1") or holds_coding(content, b"hev1"):
            return HEIF, "image/heif"
        raise unsupported("a HEIF picture with a codec other than HEVC or AV1")
    if any(brand.startswith(_VIDEO_BRANDS) for brand in brands):
        raise unsupported(_VIDEO)
    raise unsupported("a media file of an unknown brand")


def _recognised(content: bytes) -> str | None:
    for prefix, kind in _RECOGNISED:
        if content.startswith(prefix):
            return kind
    by_offset: tuple[tuple[bool, str], ...] = (
        (content[:4] == b"RIFF" and content[8:12] == b"AVI ", _VIDEO),
        (content[:4] == b"RIFF" and content[8:12] == b"WAVE", "an audio file"),
        (content[4:8] in {b"moov", b"mdat", b"wide", b"free"}, _VIDEO),
        (content[:4] in {b"II*\0", b"MM\0*"} and content[8:10] == b"CR", f"{_RAW} (CR2)"),
        (
            content[:1] == b"P" and content[1:2] in set(_each(b"1234567")) and content[2:3].isspace(),
            "a Netpbm picture",
        ),
        (content[:2] in {b"PF", b"Pf"} and content[2:3].isspace(), "a PFM picture"),
        (content[257:262] == b"ustar", "a tar archive"),
        (content[128:132] == b"DICM", "a DICOM picture"),
        (content[:4] == b"\x01\0\0\0" and content[40:44] == b" EMF", "a Windows metafile (EMF)"),
        (content[:4] == b"\0\0\0\x0c" and content[4:8] == b"JXLL", "a JPEG XL picture of an old draft"),
    )
    for matches, kind in by_offset:
        if matches:
            return kind
    return _recognised_text(content)


def _each(letters: bytes) -> list[bytes]:
    return [bytes([letter]) for letter in letters]


def _recognised_text(content: bytes) -> str | None:
    text = content[:_TEXT_BYTES]
    if text[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        text = text.decode("utf-16", "ignore").encode()
    text = text.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not text.startswith(b"<"):
        return None
    if b"<svg" in text:
        return "an SVG drawing"
    if text.startswith(b"<?xml"):
        # Long declarations and comments may precede the root element.
        return "an SVG drawing" if b"<svg" in content[: 16 * _TEXT_BYTES].lower() else "an XML document"
    return "an HTML page" if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) else None
