"""Formats: what is accepted, what is named and refused, and that metadata never costs a picture."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from app.domain.errors import ImageTooManyPixels, NotAnImage, UnsupportedFormat
from app.images.containers.jpeg2000 import halvings_of
from app.images.containers.jxl import size_of_jxl
from app.images.decode import Decoder
from app.images.decoding import decode_in_process
from app.images.formats import ACCEPTED
from app.images.orientations import turned
from app.images.sniff import Limits
from tests.fixtures.pictures import encoded, exif_versions, photo, with_orientation
from tests.fixtures.tiffs import tiff, tiff_of

LIMITS = Limits()


def decode(content: bytes, crop=None, limits=LIMITS):
    return decode_in_process(content, limits, crop)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def png_chunk(kind: bytes, data: bytes, crc: int | None = None) -> bytes:
    crc = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


FRAME = photo(200, 120)


@pytest.fixture(scope="module")
def child():
    guarded = Decoder(LIMITS, children=1)
    yield guarded
    guarded.close()


@pytest.mark.parametrize(
    ("kind", "options", "media_type"),
    [
        ("JPEG", {"quality": 95}, "image/jpeg"),
        ("PNG", {}, "image/png"),
        ("GIF", {}, "image/gif"),
        ("WEBP", {"quality": 95}, "image/webp"),
        ("BMP", {}, "image/bmp"),
        ("TIFF", {}, "image/tiff"),
        ("AVIF", {"quality": 95}, "image/avif"),
        ("HEIF", {"quality": 95}, "image/heic"),
        ("JXL", {"quality": 95}, "image/jxl"),
        ("JPEG2000", {}, "image/jp2"),
    ],
)
def test_every_accepted_format_is_decoded_in_a_child(child, kind, options, media_type):
    picture = child.decode(encoded(FRAME, kind, **options))

    assert difference(picture.pixels, np.asarray(FRAME)) < 6
    assert (picture.width, picture.height, picture.media_type) == (200, 120, media_type)
    assert {one.decoder for one in ACCEPTED} >= {kind}


@pytest.mark.parametrize("size", [(200, 120), (256, 256), (1, 1), (4000, 3), (640, 480), (3000, 2000)])
def test_the_size_of_a_jpeg_xl_is_read_without_its_decoder(size):
    assert size_of_jxl(encoded(Image.new("RGB", size), "JXL", effort=1)) == size
    assert size_of_jxl(encoded(Image.new("RGB", size), "JXL", effort=1, use_container=True)) == size


def test_a_jpeg_xl_of_too_many_pixels_is_refused_by_its_header():
    with pytest.raises(ImageTooManyPixels):
        decode(encoded(photo(300, 200), "JXL"), limits=Limits(max_pixels=50_000))


NAMED = {
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "SVG behind its declaration": b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- " + b"x" * 2_000 + b" -->\n<svg/>",
    "PSD": b"8BPS\0\1" + bytes(40),
    "PDF": b"%PDF-1.7\n",
    "HTML": b"<!DOCTYPE html><html></html>",
    "CR2": b"II*\0\x10\0\0\0CR\2\0" + bytes(60),
    "CR3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(60),
    "RAF": b"FUJIFILMCCD-RAW 0201" + bytes(60),
    "ORF": b"IIRO\x08\0\0\0" + bytes(60),
    "RW2": b"IIU\0\x18\0\0\0" + bytes(60),
    "video": b"\0\0\0\x18ftypisom\0\0\0\1isommp42" + bytes(60),
    "QuickTime": b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(60),
    "Matroska": b"\x1aE\xdf\xa3" + bytes(60),
    "EXR": b"\x76\x2f\x31\x01" + bytes(60),
    "BigTIFF": b"II+\0\x08\0\0\0" + bytes(60),
    "ICO": b"\0\0\1\0\1\0" + bytes(60),
    "Netpbm": b"P6\n1 1\n255\nabc",
    "ZIP": b"PK\x03\x04" + bytes(60),
    "DICOM": bytes(128) + b"DICM" + bytes(60),
}


@pytest.mark.parametrize("name", NAMED)
def test_what_is_recognised_but_not_decoded_is_called_so(name):
    with pytest.raises(UnsupportedFormat) as refused:
        decode(NAMED[name])

    assert "damaged" not in refused.value.detail
    assert "JPEG, PNG" in refused.value.detail


def test_unknown_and_damaged_files_are_not_called_unsupported():
    for content in (b"", b"hello", encoded(FRAME, "PNG")[:900], encoded(FRAME, "HEIF")[:900]):
        with pytest.raises(NotAnImage):
            decode(content)


@pytest.mark.parametrize(("major", "kind"), [(b"mif1", "AVIF"), (b"miaf", "AVIF"), (b"mif1", "HEIF")])
def test_the_brands_of_a_file_are_read_as_the_standard_says(major, kind):
    whole = encoded(FRAME, kind, quality=95)

    picture = decode(whole[:8] + major + whole[12:])

    assert np.array_equal(picture.pixels, decode(whole).pixels)


BROKEN_EXIF = b"Exif\0\0II*\0\x08\0\0\0\x02\x01\x12\0\x03"


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda b: b[:2] + segment(0xE1, BROKEN_EXIF) + b[2:],
        lambda b: b[:2] + segment(0xE2, b"ICC_PROFILE\0\1\3junk") + b[2:],
        lambda b: b[:2] + segment(0xE2, b"MPF\0II*\0\xff\xff\xff\x0f") + b[2:],
        lambda b: b[:2] + segment(0xED, b"Photoshop 3.0\x008BIM\xff") + b[2:],
        lambda b: b + struct.pack(">I4s", 24, b"ftyp") + b"mp42" + b"\xff\xda" * 300_000,
        lambda b: b + encoded(photo(50, 50), "JPEG"),
        lambda b: b[:-2],
        lambda b: b[:-1],
    ],
    ids=["EXIF", "profile", "MPF", "Photoshop", "video behind", "picture behind", "no end", "half an end"],
)
def test_no_metadata_costs_a_jpeg(spoilt):
    whole = encoded(FRAME, "JPEG", quality=92)

    assert np.array_equal(decode(spoilt(whole)).pixels, decode(whole).pixels)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_a_jpeg_without_its_end_marker_is_whole_only_if_its_pixels_are(options):
    whole = encoded(photo(700, 500), "JPEG", quality=92, **options)

    assert np.array_equal(decode(whole[:-2]).pixels, decode(whole).pixels)
    for missing in (60, 300, 2_000, len(whole) // 2):
        with pytest.raises(NotAnImage):
            decode(whole[:-missing])


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"eXIf", BROKEN_EXIF),
        png_chunk(b"eXIf", BROKEN_EXIF, crc=1),
        png_chunk(b"iCCP", b"name\0\0not deflated"),
        png_chunk(b"tEXt", b"no separator", crc=7),
        png_chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(200_000_000), 9)),
        png_chunk(b"tRNS", b"\0\1", crc=9),
        png_chunk(b"acTL", b"", crc=9),
        png_chunk(b"prVt", b"private"),
    ],
)
def test_no_ancillary_chunk_costs_a_png(chunk):
    whole = encoded(FRAME, "PNG")

    assert np.array_equal(decode(whole[:33] + chunk + whole[33:]).pixels, np.asarray(FRAME))


def test_no_metadata_costs_a_webp_or_an_avif_or_a_heic():
    for kind, options in (("WEBP", {"lossless": True}), ("AVIF", {}), ("HEIF", {})):
        plain = decode(encoded(FRAME, kind, **options)).pixels
        tag = Image.Exif()
        tag[0x0110] = "a camera"
        spoilt = encoded(FRAME, kind, exif=tag, **options)
        at = spoilt.index(b"II*\0" if b"II*\0" in spoilt else b"MM\0*")
        spoilt = spoilt[:at] + bytes(range(12)) + spoilt[at + 12 :]
        assert np.array_equal(decode(spoilt).pixels, plain)
        if kind == "WEBP":
            assert np.array_equal(decode(spoilt + b"\0" * 99).pixels, plain)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_only_exif_turns_a_picture(orientation):
    whole = encoded(FRAME, "JPEG", quality=95)
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org'
    xmp += b'/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    xmp += b'tiff:Orientation="%d"/></rdf:RDF></x:xmpmeta>' % orientation
    exif = Image.Exif()
    exif[0x0112] = orientation

    assert np.array_equal(decode(whole[:2] + segment(0xE1, xmp) + whole[2:]).pixels, decode(whole).pixels)
    by_exif = decode(encoded(FRAME, "JPEG", quality=95, exif=exif)).pixels
    assert np.array_equal(by_exif, turned(decode(whole).pixels, orientation))


def test_files_that_differ_by_their_orientation_tag_are_exactly_the_turned_picture():
    (first, content), *others = exif_versions()
    assert first == 1
    upright = decode(content)

    for orientation, version in others:
        assert np.array_equal(decode(version).pixels, turned(upright.pixels, orientation))
    assert [orientation for orientation, _ in others] == list(range(2, 9))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_a_picture_stored_turned_has_exactly_the_upright_pixels(orientation, kind):
    if kind == "WEBP":
        upright, tag = FRAME, Image.Exif()
        tag[0x0112] = orientation
        picture = decode(encoded(upright, kind, lossless=True, exif=tag))
        assert np.array_equal(picture.pixels, turned(np.asarray(upright), orientation))
    else:
        picture = decode(with_orientation(orientation, FRAME, kind))
        assert np.array_equal(picture.pixels, np.asarray(FRAME))
    assert (picture.height, picture.width) == picture.pixels.shape[:2]


@pytest.mark.slow
def test_photographs_of_phones_are_reduced_while_they_are_decoded():
    content = encoded(photo().resize((8160, 6120)), "JPEG", quality=40)

    whole, part = decode(content), decode(content, crop=(0.0, 0.0, 0.5, 0.5))

    assert (whole.width, whole.height) == (8160, 6120)
    assert difference(whole.pixels, np.asarray(photo().resize((512, 384)))) < 6
    assert difference(part.pixels, np.asarray(photo().crop((0, 0, 100, 60)).resize((512, 384)))) < 6
    with pytest.raises(ImageTooManyPixels):
        decode(content, limits=Limits(max_pixels=8_000_000))


def test_of_several_directories_the_picture_counts_and_never_its_thumbnail():
    picture, thumbnail = photo(300, 200), photo(30, 20, seed=5)
    small, big = tiff_of(thumbnail, {254: (4, [1]), 330: (4, [0])}), tiff_of(picture, {254: (4, [0])})

    found = decode(tiff(small, big, pointer=330))

    assert (found.width, found.height) == (300, 200)
    assert np.array_equal(found.pixels, np.asarray(picture))


def test_a_camera_s_raw_picture_is_refused_by_name():
    thumbnail = tiff_of(photo(30, 20), {254: (4, [1]), 330: (4, [0])})
    sensor = tiff_of(photo(300, 200).convert("L"), {254: (4, [0]), 262: (3, [32803])})

    for content in (tiff(thumbnail, sensor, pointer=330), tiff(tiff_of(photo(), {50706: (1, [1, 4, 0, 0])}))):
        with pytest.raises(UnsupportedFormat, match="RAW"):
            decode(content)


@pytest.mark.parametrize(
    ("bits", "marker", "word"), [(12, 0xC1, "12-bit"), (8, 0xC3, "lossless"), (8, 0xF7, "JPEG-LS")]
)
def test_jpegs_of_unusual_coding_are_refused_by_name(bits, marker, word):
    whole = bytearray(encoded(FRAME, "JPEG"))
    at = whole.index(b"\xff\xc0")
    whole[at + 1], whole[at + 4] = marker, bits

    with pytest.raises(UnsupportedFormat, match=word):
        decode(bytes(whole))


def test_a_file_of_an_empty_box_is_refused():
    for content in (b"\0\0\0\0ftypavif", b"\0\0\0\x10ftypavif\0\0\0\0", b"\xff\x0a"):
        with pytest.raises(NotAnImage):
            decode(content)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(2_600, 1_800), (2_601, 1_803), (1_400, 4_101)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_a_large_jpeg_2000_is_reduced_while_it_is_decoded_and_looks_the_same(size, mode, monkeypatch):
    small = Image.effect_mandelbrot((64, 64), (-2, -1.5, 1, 1.5), 60)
    picture = Image.merge("RGB", [small, small.rotate(90), small.rotate(180)]).resize(size).convert(mode)
    content = encoded(picture, "JPEG2000")

    found = decode(content)
    monkeypatch.setattr("app.images.decoding.halvings_of", lambda _: 0)
    unreduced = decode(content)

    assert halvings_of(content) == 5
    assert (found.width, found.height) == size
    assert found.pixels.shape == unreduced.pixels.shape
    assert difference(found.pixels, unreduced.pixels) < 1


def test_a_jpeg_2000_that_cannot_be_reduced_is_decoded_whole(monkeypatch):
    picture = Image.effect_mandelbrot((2_400, 1_100), (-2, -1.5, 1, 1.5), 20)
    content = encoded(picture, "JPEG2000", num_resolutions=1)
    expected = decode(content)
    monkeypatch.setattr("app.images.decoding.halvings_of", lambda _: 1)

    assert np.array_equal(decode(content).pixels, expected.pixels)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\x4f\xff\x51", b"no codestream", b"\xff\x4f\xff\x51\0\x29" + bytes(36) + b"\0\3"],
)
def test_a_damaged_jpeg_2000_header_names_no_halvings(content):
    assert halvings_of(content) == 0
