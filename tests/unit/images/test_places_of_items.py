"""Positions leave items of HEIC and AVIF that are in several parts or compressed, and other rare places."""

import io
import struct
import zlib
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from pillow_heif import from_pillow

from app.images import plugins
from app.images.positions import TooMuchMetadata, apply_patches, patches_against_positions
from tests.unit.images.test_places import PNG, XMP, chunk, directory_of, segment, with_segments
from tests.unit.images.test_positions import GPS, PICTURE, exif_with_position, saved

plugins.register()

EXIF, MIME = 2, 3
"""Numbers of the items that pillow-heif writes after the picture."""
POSITION = struct.pack(">2I", 1225, 100)
PLACES = (b"52,31.5123N", b"Harbour Row", b"Sea'dale")


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def boxes(content: bytes) -> dict[bytes, bytes]:
    found, at = {}, 0
    while at < len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        found[kind] = content[at + 8 : at + size]
        at += size
    return found


def heic(*, parts: int = 1, in_meta: bool = False, packed: bool = False) -> bytes:
    """A HEIC whose items of metadata are in several parts, within the ``meta`` box, or compressed."""
    out = io.BytesIO()
    exif = exif_with_position()
    exif[0x010E] = "before the position " * 8
    from_pillow(PICTURE).save(out, exif=exif.tobytes(), xmp=XMP.encode(), quality=-1)
    content = out.getvalue()
    outer = boxes(content)
    meta = boxes(outer[b"meta"][4:])
    items = {}
    for i in range(3):
        number, _, base, _, offset, length = struct.unpack_from(">HHIHII", meta[b"iloc"], 8 + 18 * i)
        items[number] = content[base + offset : base + offset + length]
    if packed:
        meta[b"iinf"] = meta[b"iinf"].replace(
            box(b"infe", b"\2\0\0\1\0\3\0\0mime\0application/rdf+xml\0\0"),
            box(b"infe", b"\2\0\0\1\0\3\0\0mime\0application/rdf+xml\0deflate\0"),
        )
        items[MIME] = zlib.compress(items[MIME])
    start = 0
    for _ in range(2):  # the second time with the offsets that the first found
        data, located, idat = b"", b"", b""
        for number, item in items.items():
            is_cut = number in {EXIF, MIME}
            bounds = np.linspace(0, len(item), (parts if is_cut else 1) + 1).astype(int).tolist()
            pieces = [item[a:b] for a, b in pairwise(bounds)]
            is_inside = is_cut and in_meta
            located += struct.pack(">HHHH", number, int(is_inside), 0, len(pieces))
            offsets = {}
            for at in reversed(range(len(pieces))):
                if is_inside:
                    offsets[at] = len(idat)
                    idat += pieces[at] + b"between"
                else:
                    offsets[at] = start + len(data)
                    data += pieces[at] + b"between"
            for at, piece in enumerate(pieces):
                located += struct.pack(">II", offsets[at], len(piece))
        meta[b"iloc"] = b"\1\0\0\0\x44\0" + struct.pack(">H", len(items)) + located
        if idat:
            meta[b"idat"] = idat
        head = box(b"ftyp", outer[b"ftyp"])
        head += box(b"meta", bytes(4) + b"".join(box(kind, body) for kind, body in meta.items()))
        start = len(head) + 8
    return head + box(b"mdat", data)


HEICS = {
    "in one part": {},
    "in three parts": {"parts": 3},
    "within the meta box": {"in_meta": True},
    "within the meta box, in parts": {"in_meta": True, "parts": 4},
    "compressed": {"packed": True},
    "compressed, in parts": {"packed": True, "parts": 2},
}


@pytest.mark.parametrize("form", HEICS)
def test_no_item_of_a_heic_names_a_place(form):
    content = heic(**HEICS[form])
    cleaned = apply_patches(content, 0, patches_against_positions(content))

    assert len(cleaned) == len(content)
    assert patches_against_positions(cleaned) == []
    with Image.open(io.BytesIO(content)) as before, Image.open(io.BytesIO(cleaned)) as after:
        assert np.array_equal(np.asarray(before), np.asarray(after))
        assert dict(before.getexif().get_ifd(GPS)) != {}
        assert dict(after.getexif().get_ifd(GPS)) == {}
        assert after.getexif()[0x010F] == "Camera"
        assert not any(place in (after.info.get("xmp") or b"") for place in PLACES)
    joined = cleaned.replace(b"between", b"")
    assert POSITION not in joined
    assert not any(place in joined for place in PLACES)


def second_picture() -> bytes:
    """A JPEG with a second one behind it, as telephones append previews and gain maps."""
    index = b"MPF\0MM\0*" + struct.pack(">IHHHI4sI", 8, 1, 0xB000, 7, 4, b"0100", 0)
    return with_segments(segment(0xE2, index)) + saved("JPEG", exif=exif_with_position(), xmp=XMP.encode())


def credential() -> bytes:
    """A content credential with the position in JSON."""
    text = b'{"@context": {}, "EXIF:GPSLatitude": "52,31.5123N", "exif:GPSLongitude": 13.4076, "a": "kept"}'
    return with_segments(segment(0xEB, b"JP\0\1\0\0\0\1" + box(b"jumb", box(b"json", text))))


def default_namespace() -> bytes:
    return saved(
        "WEBP",
        xmp=b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description><GPSLatitude '
        b'xmlns="http://ns.adobe.com/exif/1.0/">52,31.5123N</GPSLatitude><geo:lat>13.4076</geo:lat>'
        b"<dc:title>kept</dc:title></rdf:Description></rdf:RDF>",
        lossless=True,
    )


def short_pointer() -> bytes:
    """The pointer to the position has two bytes."""
    entry = struct.pack("<HHIHH", GPS, 3, 1, 26, 0)
    return directory_of(entry) + struct.pack("<HHHII", 1, 2, 5, 3, 44) + bytes(4) + POSITION * 3


def many_pointers() -> bytes:
    """The last of a hundred sub-directories has the position."""
    pointers = [8] * 99 + [26 + 400]
    content = directory_of(struct.pack("<HHII", 0x014A, 4, 100, 26)) + struct.pack("<100I", *pointers)
    content += struct.pack("<HHHII", 1, GPS, 4, 1, len(content) + 18) + bytes(4)
    return content + struct.pack("<HHHII", 1, 2, 5, 3, len(content) + 18) + bytes(4) + POSITION * 3


def cut_directory() -> bytes:
    """A directory that says it has more entries than the file."""
    gps = struct.pack("<HHII", GPS, 4, 1, 600)
    content = b"II*\0" + struct.pack("<IH", 8, 65_000) + gps
    return content.ljust(600, b"\0") + struct.pack("<HHHII", 1, 2, 5, 3, 618) + bytes(4) + POSITION * 3


RARE = {
    "a second picture": second_picture,
    "a content credential": credential,
    "XMP without prefixes": default_namespace,
    "a pointer of two bytes": short_pointer,
    "many directories": many_pointers,
    "a directory that is cut off": cut_directory,
    "compressed EXIF of a PNG": lambda: (
        PNG + chunk(b"zxIf", b"\0" + bytes(4) + zlib.compress(exif_with_position().tobytes()))
    ),
    "a JPEG within a JPEG XL": lambda: b"\0\0\0\x0cJXL \r\n\x87\n" + box(b"jbrd", b"packed " + POSITION * 3),
}


@pytest.mark.parametrize("kind", RARE)
def test_no_rare_form_names_a_place(kind):
    content = RARE[kind]()
    cleaned = apply_patches(content, 0, patches_against_positions(content))

    assert cleaned != content
    assert len(cleaned) == len(content)
    assert patches_against_positions(cleaned) == []
    assert POSITION * 3 not in cleaned
    assert zlib.compress(exif_with_position().tobytes()) not in cleaned
    assert not any(place in cleaned for place in (*PLACES, b"13.4076", b"2024:05:06"))
    assert cleaned.count(b"kept") == content.count(b"kept")


@pytest.mark.parametrize("cut", range(0, 700, 9))
def test_broken_items_raise_nothing(cut):
    content = heic(parts=3)
    for broken in (content[:cut], content[:cut] + b"\xff\xff\xff" + content[cut + 3 :], content[cut:]):
        assert len(apply_patches(broken, 0, patches_against_positions(broken))) == len(broken)


def test_an_item_of_very_many_overlapping_parts_is_refused():
    described = box(b"iinf", b"\0\0\0\0\0\1" + box(b"infe", b"\2\0\0\0\0\1\0\0mime\0a\0deflate\0"))
    parts = struct.pack(">II", 8, 500_000) * 10_000
    located = box(b"iloc", b"\0\0\0\0\x44\0\0\1" + struct.pack(">HHH", 1, 0, 10_000) + parts)
    content = box(b"ftyp", b"heic\0\0\0\0") + box(b"meta", bytes(4) + described + located) + b"x" * 500_000

    with pytest.raises(TooMuchMetadata):
        patches_against_positions(content)
