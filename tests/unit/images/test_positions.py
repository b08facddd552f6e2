"""Positions leave the file; pixels, sizes and everything else stay."""

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from app.images.positions import apply_patches, patches_against_positions

GPS = 0x8825
PICTURE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8))
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="52,31.5123N" '
    b'exif:ISO="100"><exif:GPSLongitude>13,24.4567E</exif:GPSLongitude></rdf:Description></rdf:RDF></x:xmpmeta>'
)
SECRETS = (b"52,31.5123N", b"13,24.4567E", b"2024:05:06")


def exif_with_position() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif[0x0112] = 6
    exif.get_ifd(GPS).update(
        {1: "N", 2: (52.0, 31.0, 12.25), 3: "E", 4: (13.0, 24.0, 27.5), 5: b"\0", 6: 34.5, 0x1D: "2024:05:06"}
    )
    return exif


def saved(kind: str, **options) -> bytes:
    out = io.BytesIO()
    PICTURE.save(out, kind, **options)
    return out.getvalue()


def without_positions(content: bytes) -> bytes:
    return apply_patches(content, 0, patches_against_positions(content))


def raw_profile(zipped: bool) -> bytes:
    """A PNG as older tools write EXIF into it."""
    data = b"Exif\0\0" + exif_with_position().tobytes()[6:]
    lines = "\n".join(re.findall(".{1,72}", data.hex()))
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(data):8}\n{lines}\n", zip=zipped)
    return saved("PNG", pnginfo=info)


def png_xmp(zipped: bool) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=zipped)
    return saved("PNG", pnginfo=info)


FILES = {
    "JPEG": lambda: saved("JPEG", exif=exif_with_position(), xmp=XMP),
    "PNG": lambda: saved("PNG", exif=exif_with_position()),
    "PNG raw profile": lambda: raw_profile(False),
    "PNG packed raw profile": lambda: raw_profile(True),
    "PNG XMP": lambda: png_xmp(False),
    "PNG packed XMP": lambda: png_xmp(True),
    "WebP": lambda: saved("WEBP", exif=exif_with_position(), xmp=XMP, lossless=True),
    "AVIF": lambda: saved("AVIF", exif=exif_with_position(), xmp=XMP),
}


@pytest.mark.parametrize("kind", FILES)
def test_no_position_is_left_and_the_pixels_are_the_same(kind):
    content = FILES[kind]()
    cleaned = without_positions(content)

    assert cleaned != content
    assert len(cleaned) == len(content)
    assert patches_against_positions(cleaned) == []
    for secret in SECRETS:
        assert secret not in cleaned
        assert secret.hex().encode() not in cleaned
    with Image.open(io.BytesIO(content)) as before, Image.open(io.BytesIO(cleaned)) as after:
        before.load()
        after.load()  # PNG's checksums are checked here
        assert np.array_equal(np.asarray(before), np.asarray(after))
        assert dict(after.getexif().get_ifd(GPS)) == {}
        if "raw profile" not in kind and "XMP" not in kind:
            assert after.getexif()[0x0112] == 6
            assert after.getexif()[0x010F] == "Camera"


def test_checksums_of_png_chunks_are_right():
    cleaned = without_positions(FILES["PNG packed raw profile"]())

    at, kinds = 8, []
    while at < len(cleaned):
        (size,) = struct.unpack_from(">I", cleaned, at)
        assert (
            zlib.crc32(cleaned[at + 4 : at + 8 + size]) == struct.unpack_from(">I", cleaned, at + 8 + size)[0]
        )
        kinds.append(cleaned[at + 4 : at + 8])
        at += 12 + size
    assert b"tEXt" in kinds
    assert b"zTXt" not in kinds


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_are_read(order):
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHII", GPS, 4, 1, 26)
    tiff = mark + struct.pack(f"{order}IH", 8, 1) + entry + struct.pack(f"{order}I", 0)
    tiff += struct.pack(f"{order}HHHII", 1, 2, 5, 3, 44) + struct.pack(f"{order}I", 0)
    tiff += struct.pack(f"{order}6I", 52, 1, 31, 1, 1225, 100)

    cleaned = without_positions(b"xx" + tiff)[2:]

    assert cleaned[:26] == tiff[:26]
    assert cleaned[26:40] == bytes(14)
    assert cleaned[44:] == bytes(24)


def test_a_picture_without_position_is_not_touched():
    exif = Image.Exif()
    exif[0x0112] = 3
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"):
        assert (
            patches_against_positions(saved(kind, **({"exif": exif} if kind in {"JPEG", "PNG"} else {}))) == []
        )
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "a plain text", zip=True)
    assert patches_against_positions(saved("PNG", pnginfo=info)) == []


@pytest.mark.parametrize("cut", range(0, 200, 7))
def test_broken_metadata_raises_nothing(cut):
    for make in FILES.values():
        content = make()
        broken = content[:cut] + content[cut + 3 :]
        patches = patches_against_positions(broken)
        assert len(apply_patches(broken, 0, patches)) == len(broken)


def test_pieces_are_patched_like_the_whole_file():
    content = FILES["JPEG"]()
    patches = patches_against_positions(content)

    for size in (1, 5, 64, 100_000):
        pieces = [apply_patches(content[i : i + size], i, patches) for i in range(0, len(content), size)]
        assert b"".join(pieces) == without_positions(content)
