"""Samples: whatever their depth, order, sign, planes and colours, the pixels are right or refused by name."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from app.domain.errors import UnsupportedFormat
from app.images.decoding import decode_in_process
from app.images.sample_formats import eight_bit, white_of
from app.images.sniff import Limits
from tests.fixtures.pictures import encoded, photo
from tests.fixtures.tiffs import samples, tiff

LIMITS = Limits()
COLOURS = np.asarray(photo(60, 40))
GREY = np.asarray(photo(60, 40).convert("L"))
ALPHA = np.linspace(0, 255, 40 * 60).astype(np.uint8).reshape(40, 60)


def decode(content: bytes) -> np.ndarray:
    return decode_in_process(content, LIMITS).pixels


def as_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def difference(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8, 10, 12, 14, 16, 24, 32])
@pytest.mark.parametrize("photometric", [0, 1])
def test_grey_tiffs_of_every_depth_are_scaled_by_the_declared_bits(bits, photometric, deflate, order):
    top = (1 << bits) - 1
    values = np.rint(GREY / 255 * top).astype(np.uint64)
    stored = (top - values if photometric == 0 else values).astype(
        "u1" if bits <= 8 else "u2" if bits <= 16 else "u4"
    )
    content = tiff(samples(stored, photometric=photometric, bits=bits, order=order, deflate=deflate))

    assert difference(decode(content), as_rgb(np.rint(values / top * 255))) <= 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(
    ("dtype", "scale", "kind"),
    [
        ("u1", 1, 1),
        ("u2", 257, 1),
        ("u4", 16_843_009, 1),
        ("f2", 1 / 255, 3),
        ("f4", 1 / 255, 3),
        ("f8", 1 / 255, 3),
    ],
)
def test_colour_tiffs_of_every_depth_order_and_layout(dtype, scale, kind, planar, order):
    values = (COLOURS * np.float64(scale)).astype(dtype)

    for deflate in (False, True):
        part = samples(values, photometric=2, kind=kind, order=order, planar=planar, deflate=deflate)
        assert difference(decode(tiff(part)), COLOURS) <= 1


def test_tiled_and_predicted_samples():
    wide = np.asarray(photo(64, 48).convert("L")).astype("<u2") * 257
    tiles = [wide[y : y + 16, x : x + 16] for y in range(0, 48, 16) for x in range(0, 64, 16)]
    part = samples(wide, photometric=1, deflate=True)
    differences = [np.diff(tile, axis=1, prepend=np.uint16(0)).astype("<u2") for tile in tiles]
    part.strips = [zlib.compress(tile.tobytes()) for tile in differences]
    part.tags |= {317: (3, [2]), 322: (4, [16]), 323: (4, [16])}
    content = tiff(part)
    # The fixture writes strips: the same offsets and sizes, under the tags of tiles.
    content = content.replace(struct.pack("<HH", 273, 4), struct.pack("<HH", 324, 4))
    content = content.replace(struct.pack("<HH", 279, 4), struct.pack("<HH", 325, 4))

    assert difference(decode(content), as_rgb(wide // 257)) <= 1


@pytest.mark.parametrize("photometric", [1, 2])
@pytest.mark.parametrize("extra", [0, 1, 2])
def test_an_extra_band_is_transparency_only_where_it_is_declared_so(photometric, extra):
    colours = (COLOURS if photometric == 2 else GREY[..., None]).astype(float)
    if extra == 1:
        colours = colours * ALPHA[..., None] / 255
    values = np.rint(np.concatenate([colours, ALPHA[..., None]], axis=2) * 257).astype("u2")

    pixels = decode(tiff(samples(values, photometric=photometric, tags={338: (3, [extra])}, planar=True)))

    plain = COLOURS if photometric == 2 else as_rgb(GREY)
    share = ALPHA[..., None] / 255 if extra else 1.0
    assert np.abs(pixels - (plain * share + 255 * (1 - share))).mean() < 2


@pytest.mark.parametrize("kind", [2, 5])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
def test_signed_and_complex_samples_are_refused_by_name(dtype, kind):
    with pytest.raises(UnsupportedFormat, match=r"signed|complex"):
        decode(tiff(samples(GREY.astype(dtype), photometric=1, kind=kind)))


@pytest.mark.parametrize("compression", [34712, 52546, 99])
def test_an_unknown_compression_is_refused_by_name(compression):
    part = samples(GREY, photometric=1)
    part.tags[259] = (3, [compression])

    with pytest.raises(UnsupportedFormat, match=r"compression|RAW"):
        decode(tiff(part))


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize(
    "make", ["grey png", "colour png", "colour png with alpha", "grey tiff", "colour tiff"]
)
def test_samples_of_fewer_bits_in_sixteen_have_the_range_that_holds_them(make, bits):
    source = np.maximum(COLOURS, 3) if "colour" in make else np.maximum(GREY, 3)[..., None]
    source = source.copy()
    source[0, 0] = 255
    values = (source.astype(np.uint16) * 257) >> (16 - bits)
    if "tiff" in make:
        content = tiff(samples(values, photometric=2 if "colour" in make else 1))
    elif make == "grey png":
        content = encoded(Image.fromarray(values[..., 0]), "PNG")
    else:
        content = deep_png(values, alpha="alpha" in make)

    expected = source if "colour" in make else as_rgb(source[..., 0])
    assert difference(decode(content), expected) <= 1


def deep_png(values: np.ndarray, *, alpha: bool = False) -> bytes:
    """A PNG of 16-bit colours, which Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = values.shape
    if alpha:
        values = np.concatenate([values, np.full((height, width, 1), 65_535, np.uint16)], axis=2)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, 6 if alpha else 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("top", [0.5, 1.0, 1.05, 1.3, 4.0, 60.0])
def test_floats_beyond_one_keep_the_picture(top):
    values = GREY.astype("f4") / 255 * top

    expected = GREY * min(top, 255 / GREY.max())
    assert np.abs(decode(tiff(samples(values, photometric=1, kind=3)))[..., 0] - expected).mean() < 2.5


def test_a_few_glints_and_no_numbers_at_all_do_not_turn_floats_black():
    values = GREY.astype("f4") / 255
    values[0, 0], values[0, 1], values[0, 2], values[0, 3] = 5_000.0, np.nan, np.inf, -np.inf

    assert np.abs(decode(tiff(samples(values, photometric=1, kind=3)))[..., 0].astype(int) - GREY).mean() < 2


def test_scaling_is_exact():
    assert np.array_equal(eight_bit(np.arange(256, dtype=np.uint16) * 257, 65_535.0), np.arange(256))
    assert white_of(np.array([70_000], np.uint32), 32) == 4_294_967_295
    assert white_of(np.array([0], np.uint16), 16) == 255


def plain_inks(picture: Image.Image) -> bytes:
    bands = [band.point(lambda value: 255 - value) for band in picture.convert("CMYK").split()]
    content = encoded(Image.merge("CMYK", bands), "JPEG", quality=98, subsampling=0)
    at = content.index(b"\xff\xee")
    (length,) = struct.unpack_from(">H", content, at + 2)
    return content[:at] + content[at + 2 + length :]


def test_inks_are_inverted_only_behind_adobe_s_marker():
    picture = photo(60, 40)
    marked = encoded(picture.convert("CMYK"), "JPEG", quality=98, subsampling=0)

    for content in (marked, plain_inks(picture)):
        assert np.abs(decode(content).astype(int) - COLOURS).mean() < 4


def test_lab_becomes_the_colours_that_it_names():
    lab = ImageCms.profileToProfile(
        photo(60, 40), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )

    assert np.abs(decode(encoded(lab, "TIFF")).astype(int) - COLOURS).mean() < 3


def wide_profile() -> bytes:
    """sRGB's own profile with red and green exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    table = bytes(profile[132 : 132 + 12 * int.from_bytes(profile[128:132], "big")])
    swapped = table.replace(b"rXYZ", b"xxxx").replace(b"gXYZ", b"rXYZ").replace(b"xxxx", b"gXYZ")
    profile[132 : 132 + len(table)] = swapped
    return bytes(profile)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_a_profile_brings_colours_to_srgb_in_every_format(kind):
    picture = photo(60, 40)
    red, green, blue = picture.split()
    options = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}}.get(kind, {"quality": 98})
    exchanged = Image.merge("RGB", (green, red, blue))

    pixels = decode(encoded(exchanged, kind, icc_profile=wide_profile(), **options))

    assert np.abs(pixels.astype(int) - COLOURS).mean() < 6


def test_a_profile_of_srgb_changes_no_pixel():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    assert np.array_equal(decode(encoded(photo(60, 40), "PNG", icc_profile=profile)), COLOURS)


@pytest.mark.parametrize(
    "profile",
    [b"no profile", wide_profile()[:200], wide_profile() + bytes(5_000_000), bytes(128)],
    ids=["junk", "cut off", "too large", "zeros"],
)
def test_a_profile_that_is_broken_or_too_large_never_costs_the_picture(profile):
    for kind in ("PNG", "TIFF", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        assert np.array_equal(decode(encoded(photo(60, 40), kind, icc_profile=profile, **options)), COLOURS)


def test_a_profile_of_another_colour_space_is_left_out_of_account():
    grey = Image.fromarray(GREY)

    assert np.array_equal(decode(encoded(grey, "PNG", icc_profile=wide_profile())), as_rgb(GREY))


def test_a_png_that_declares_linear_light_is_shown_as_viewers_show_it():
    light = (COLOURS / 255.0) ** 2.2
    linear = encoded(Image.fromarray(np.rint(light * 255).astype(np.uint8)), "PNG")
    body = struct.pack(">I", 100_000)
    chunk = struct.pack(">I", 4) + b"gAMA" + body + struct.pack(">I", zlib.crc32(b"gAMA" + body))

    pixels = decode(linear[:33] + chunk + linear[33:])

    assert np.abs(pixels.astype(int) - COLOURS).mean() < 6


def test_palettes_with_transparency_and_grey_with_alpha():
    out = io.BytesIO()
    clear = Image.fromarray(GREY).convert("LA")
    clear.putalpha(Image.fromarray(ALPHA))
    clear.save(out, "PNG")
    share = ALPHA[..., None] / 255
    assert np.abs(decode(out.getvalue()) - (as_rgb(GREY) * share + 255 * (1 - share))).mean() < 1

    palette = photo(60, 40).quantize(8)
    opaque = np.asarray(palette.convert("RGB"))
    pixels = decode(encoded(palette, "PNG", transparency=0))
    where_clear = np.asarray(palette) == 0
    assert np.array_equal(pixels[~where_clear], opaque[~where_clear])
    assert (pixels[where_clear] == 255).all()
