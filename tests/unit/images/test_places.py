"""Positions and names of places leave the file, in whatever form programs write them."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin
from pillow_heif import from_pillow

from app.images import plugins
from app.images.positions import TooMuchMetadata, apply_patches, patches_against_positions
from tests.unit.images.test_positions import GPS, PICTURE, exif_with_position, saved

plugins.register()

HEAD = b"\xff\xe1..http://ns.adobe.com/xmp/extension/\0" + b"." * 40
PNG = b"\x89PNG\r\n\x1a\n"
PLACES = ("Sea'dale", "Harbour Row", "52,31.5123N", "Old <b>Quay", "13.4076")
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XMP = (
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"><rdf:Description '
    f'photoshop:City="Sea\'dale" drone-dji:GpsLongtitude=\'13.4076\' dc:title="kept">'
    "<Iptc4xmpExt:LocationCreated><rdf:Bag><rdf:li rdf:parseType='Resource'><Iptc4xmpExt:LocationName><rdf:Alt>"
    "<rdf:li xml:lang='x-default'>Harbour Row</rdf:li></rdf:Alt></Iptc4xmpExt:LocationName>"
    "<exif:GPSLatitude>52,31.5123N</exif:GPSLatitude></rdf:li></rdf:Bag></Iptc4xmpExt:LocationCreated>"
    "<dc:creator>kept too</dc:creator></rdf:Description></rdf:RDF></x:xmpmeta>"
)
IPTC = b"\x1c\x02\x5a\x00\x08Sea'dale" + b"\x1c\x02\x78\x00\x04kept" + b"\x1c\x02\x65\x00\x0bHarbour Row"
RESOURCE = b"8BIM\x04\x04\x00\x00" + struct.pack(">I", len(IPTC)) + IPTC


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def with_segments(*segments: bytes) -> bytes:
    content = saved("JPEG")
    return content[:2] + b"".join(segments) + content[2:]


def extended() -> bytes:
    """A JPEG whose extended XMP is cut within a name and within a value."""
    text = XMP.encode()
    cuts = [0, text.index(b"City") + 2, text.index(b"Harbour") + 3, len(text)]
    heads = (
        b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + struct.pack(">II", len(text), at) for at in cuts
    )
    parts = zip(heads, cuts, cuts[1:], strict=False)
    return with_segments(*(segment(0xE1, head + text[start:end]) for head, start, end in parts))


def tiff(**tags) -> bytes:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, (kind, value) in tags.items():
        info.tagtype[int(tag[1:])] = kind
        info[int(tag[1:])] = value
    return saved("TIFF", tiffinfo=info)


def heic() -> bytes:
    out = io.BytesIO()
    from_pillow(PICTURE).save(out, exif=exif_with_position().tobytes(), xmp=XMP.encode(), quality=-1)
    return out.getvalue()


def maker_note() -> bytes:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x927C] = b"Panasonic\0\0\0Harbour Row"
    return saved("JPEG", exif=exif)


FILES = {
    "XMP": lambda: saved("JPEG", xmp=XMP.encode()),
    "XMP in UTF-16, little-endian": lambda: saved("WEBP", xmp=XMP.encode("utf-16"), lossless=True),
    "XMP in UTF-16, big-endian": lambda: saved("JPEG", xmp=b"\xfe\xff" + XMP.encode("utf-16-be")),
    "XMP in UTF-32": lambda: saved("JPEG", xmp=XMP.encode("utf-32-be")),
    "extended XMP": extended,
    "IPTC": lambda: with_segments(segment(0xED, b"Photoshop 3.0\0" + RESOURCE)),
    "TIFF with XMP": lambda: tiff(t700=(1, XMP.encode())),
    "TIFF with IPTC": lambda: tiff(t33723=(7, IPTC), t34377=(7, RESOURCE)),
    "HEIC": heic,
    "maker note": maker_note,
    "film": lambda: saved("JPEG") + b"\0\0\0\x1e\xa9xyz\0\x12\x15\xc7+52.5252+013.4076/",
}


@pytest.mark.parametrize("kind", FILES)
def test_no_place_is_left_and_everything_else_is(kind):
    content = FILES[kind]()
    cleaned = apply_patches(content, 0, patches_against_positions(content))

    assert cleaned != content
    assert len(cleaned) == len(content)
    for place in PLACES:
        for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
            assert place.encode(encoding) not in cleaned
    for kept in (b"kept", "kept".encode("utf-16-le"), "kept".encode("utf-16-be")):
        assert cleaned.count(kept) == content.count(kept)
    with Image.open(io.BytesIO(content)) as before, Image.open(io.BytesIO(cleaned)) as after:
        assert np.array_equal(np.asarray(before), np.asarray(after))
        assert dict(after.getexif().get_ifd(GPS)) == {}


def test_a_geotiff_loses_its_coordinates():
    content = tiff(t33922=(12, (0.0, 0.0, 0.0, 13.4076, 52.5252, 0.0)), t33550=(12, (0.5, 0.5, 0.0)))
    cleaned = apply_patches(content, 0, patches_against_positions(content))

    assert struct.pack("<d", 13.4076) in content
    assert struct.pack("<d", 13.4076) not in cleaned
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(cleaned))), np.asarray(PICTURE))


@pytest.mark.parametrize("tag", [0x8769, 0x014A])
def test_a_position_below_another_directory_is_found(tag):
    """The first directory at 8 has one entry, the second at 26 the pointer, the third at 44 the position."""
    first = struct.pack("<HHHIII", 1, tag, 4, 1, 26, 0)
    second = struct.pack("<HHHIII", 1, GPS, 4, 1, 44, 0)
    third = struct.pack("<HHHIII", 1, 2, 5, 3, 62, 0)
    values = struct.pack("<6I", 52, 1, 31, 1, 1225, 100)
    content = b"II*\0" + struct.pack("<I", 8) + first + second + third + values

    cleaned = apply_patches(content, 0, patches_against_positions(content))

    assert cleaned[:44] == content[:44]
    assert values not in cleaned


def test_the_last_of_many_pages_names_no_place_either():
    pages = 100
    content = b"II*\0" + struct.pack("<I", 8)
    for i in range(pages):
        following = 8 + 18 * (i + 1) if i < pages - 1 else 0
        tag, value = (GPS, 8 + 18 * pages) if i == pages - 1 else (0x0100, 7)
        content += struct.pack("<HHHIII", 1, tag, 4, 1, value, following)
    content += struct.pack("<HHHIII", 1, 2, 5, 3, len(content) + 18, 0)
    values = struct.pack("<6I", 52, 1, 31, 1, 1225, 100)

    cleaned = apply_patches(content + values, 0, patches_against_positions(content + values))

    assert cleaned[: 8 + 18 * pages] == content[: 8 + 18 * pages]
    assert values not in cleaned


def test_packed_metadata_of_a_jpeg_xl_is_freed():
    box = struct.pack(">I", 20) + b"brobExif" + b"\x8b\x01\x80pack\x03"
    content = b"\0\0\0\x0cJXL \r\n\x87\n" + box + b"\0\0\0\x08jxlc"

    cleaned = apply_patches(content, 0, patches_against_positions(content))

    assert cleaned == content.replace(box, struct.pack(">I", 20) + b"free" + bytes(12))


def directory_of(*entries: bytes) -> bytes:
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        b"II*\0" * 20_000,
        (RDF.encode() + b'<a:City b="' * 20_000),
        b"a\0" * 200_000,
        b"+12.12+1234" * 20_000,
        b"\0\0\0\0loci\0\0\0\0" * 20_000,
        b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\0brobExif" * 20_000,
        directory_of(*[struct.pack("<HHII", 0x927C, 7, 200_000, 8)] * 500) + bytes(200_000),
    ],
    ids=["headers", "attributes", "wide text", "film positions", "films", "packed", "notes"],
)
def test_a_hostile_file_takes_little_time_and_memory(content):
    tracemalloc.start()
    try:
        patches = patches_against_positions(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert all(0 <= patch.start < patch.end <= len(content) for patch in patches)
    assert peak < 50_000_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        b"II*\0" * 250_000,
        RDF.encode() + b"<a:City>" * 250_000,
        RDF.encode() + b"<a:City>x</a:City>" * 300 + HEAD * 1_000,
        b"8BIM\x04\x04" * 300_000,
        b"8BIM\x04\x04\0\0\x7f\xff\xff\xff" * 2_000 + b"\x1c\x02\x05\0\0" * 250_000,
        directory_of(*[struct.pack("<HHII", GPS, 4, 1, 8)] * 512),
        directory_of(*[struct.pack("<HHII", 0x83BB, 7, 2_500, 5_999)] * 480) + b"\x1c\x02\x05\0\0" * 1_000,
        PNG + chunk(b"tEXt", b"") * 250_000,
        b"+12.5+012.5/" * 250_000,
    ],
    ids=[
        "headers",
        "elements",
        "segments",
        "resources",
        "datasets",
        "directories",
        "IPTC",
        "chunks",
        "film positions",
    ],
)
def test_a_file_with_more_metadata_than_can_be_searched_is_refused(content):
    with pytest.raises(TooMuchMetadata, match="too much metadata"):
        patches_against_positions(content)


@pytest.mark.slow
def test_text_of_a_png_that_unpacks_to_too_much_is_blanked_unread():
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(b"<" * 3_900_000))

    patches = patches_against_positions(PNG + text * 20)

    blanked = apply_patches(PNG + text * 20, 0, patches)
    assert blanked.count(b"zTXt") == 3
    assert blanked.count(b"tEXtComment\0   ") == 17
