"""TIFF directories: find the picture, describe its samples, and read samples that no decoder supports."""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.domain.errors import ImageTooManyPixels, UnsupportedFormat
from app.images.containers.source import Samples, Source

_TYPES: Final = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 13: "u4"}
"""NumPy type by TIFF type code, without the byte order."""
_MOST_DIRECTORIES: Final = 64
_MOST_VALUES: Final = 2_000_000
_MOST_PROFILE_BYTES: Final = 4_000_000
_MOST_SAMPLE_BYTES: Final = 500_000_000

_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
_FILL_ORDER, _STRIP_OFFSETS, _ORIENTATION, _BANDS, _STRIP_ROWS, _STRIP_BYTES = 266, 273, 274, 277, 278, 279
_PLANAR, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES = 284, 317, 322, 323, 324, 325
_SUB_DIRECTORIES, _INK_SET, _EXTRA, _SAMPLE_FORMAT, _SUBSAMPLING, _ICC = 330, 332, 338, 339, 530, 34675
_DNG_VERSION: Final = 50706
_WANTED: Final = frozenset(
    {
        _SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _STRIP_OFFSETS,
        _ORIENTATION, _BANDS, _STRIP_ROWS, _STRIP_BYTES, _PLANAR, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT,
        _TILE_OFFSETS, _TILE_BYTES, _SUB_DIRECTORIES, _INK_SET, _EXTRA, _SAMPLE_FORMAT, _SUBSAMPLING, _ICC,
        _DNG_VERSION,
    }
)  # fmt: skip

_UNSIGNED, _SIGNED, _FLOAT, _UNDEFINED = 1, 2, 3, 4
_SAMPLE_KINDS: Final = {_SIGNED: "signed ", _FLOAT: "floating-point ", 5: "complex ", 6: "complex "}
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _MASK, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 4, 5, 6, 8
_PHOTOMETRICS: Final = {
    _WHITE_IS_ZERO: "grey", _BLACK_IS_ZERO: "grey", _RGB: "RGB", _PALETTE: "palette", _MASK: "mask",
    _CMYK: "CMYK", _YCBCR: "YCbCr", _LAB: "CIE Lab", 9: "ICC Lab", 10: "ITU Lab",
}  # fmt: skip
_CAMERA_PHOTOMETRICS: Final = frozenset({32803, 34892, 51177, 52527})
"""A colour filter array, linear RAW, and DNG's depth and semantic maps."""
_CAMERA_COMPRESSIONS: Final = frozenset({32767, 32769, 32770, 34713, 34892, 65000, 65535, 52546})
_COMPRESSIONS: Final = {
    1: "no", 2: "CCITT", 3: "CCITT", 4: "CCITT", 5: "LZW", 6: "old-style JPEG", 7: "JPEG", 8: "Deflate",
    32771: "16-bit padded", 32773: "PackBits", 32809: "ThunderScan", 32946: "Deflate", 34676: "SGI log",
    34677: "SGI log", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP",
}  # fmt: skip
_PLAIN, _DEFLATE = 1, frozenset({8, 32946})
_ALPHAS: Final[dict[tuple[int, ...], str]] = {(1,): "a", (2,): "A"}
"""Letter of an alpha band in Pillow's modes: premultiplied or not."""
_MOST_CELL_SIDE: Final = 1 << 24
_DECODED_BANDS: Final = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _CMYK: 4}


class Damaged(Exception):
    """A directory or its strips are inconsistent."""


@dataclass(frozen=True, slots=True)
class Directory:
    """The tags of one picture in a file."""

    offset: int
    order: str
    """``<`` or ``>``, as ``struct`` names byte orders."""
    tags: dict[int, NDArray[Any]]
    following: int

    def number(self, tag: int, default: int = 0) -> int:
        """The first value of a tag."""
        values = self.tags.get(tag)
        return default if values is None or len(values) == 0 else int(values[0])

    def numbers(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """All values of a tag."""
        values = self.tags.get(tag)
        return default if values is None else tuple(int(value) for value in values)

    @property
    def width(self) -> int:
        """In pixels, as stored."""
        return self.number(_WIDTH)

    @property
    def height(self) -> int:
        """In pixels, as stored."""
        return self.number(_HEIGHT)

    @property
    def is_reduced(self) -> bool:
        """Whether it is declared to be a reduced version of another picture."""
        return bool(self.number(_SUBFILE) & 1) or self.number(_OLD_SUBFILE) == 2

    @property
    def is_of_a_camera(self) -> bool:
        """Whether it contains raw sensor data of a camera."""
        return (
            self.number(_PHOTOMETRIC) in _CAMERA_PHOTOMETRICS
            or self.number(_COMPRESSION) in _CAMERA_COMPRESSIONS
        )

    @property
    def bands(self) -> int:
        """Number of samples per pixel."""
        return max(1, self.number(_BANDS, len(self.tags.get(_BITS, (0,)))))

    @property
    def bits(self) -> tuple[int, ...]:
        """Bits per sample of each band."""
        bits = self.numbers(_BITS, (1,))
        return bits * self.bands if len(bits) == 1 else bits[: self.bands]

    @property
    def sample_formats(self) -> frozenset[int]:
        """Sample formats of all bands; an undefined format counts as unsigned."""
        return frozenset(
            _UNSIGNED if one == _UNDEFINED else one for one in self.numbers(_SAMPLE_FORMAT, (_UNSIGNED,))
        )

    def described(self) -> str:
        """Return a description of the sample format for error messages."""
        bits = "/".join(map(str, sorted(set(self.bits))))
        kinds = "".join(_SAMPLE_KINDS.get(one, "") for one in sorted(self.sample_formats))
        photometric = self.number(_PHOTOMETRIC)
        colours = _PHOTOMETRICS.get(photometric, f"photometric {photometric}")
        compression = self.number(_COMPRESSION, 1)
        packed = _COMPRESSIONS.get(compression, f"compression {compression}")
        planes = ", a plane for each band" if self.number(_PLANAR, 1) == 2 else ""
        return f"{bits}-bit {kinds}{colours} samples, {packed} compression{planes}"


def read_tiff(content: bytes, max_pixels: int, on_need: Callable[[int], None]) -> Source:
    """Return the decoder input of a TIFF: the file, with its header pointing to the picture's directory.

    Args:
        content: The file.
        max_pixels: Maximum number of pixels.
        on_need: Called with about how many bytes of memory the samples take, before they are read here.

    Raises:
        UnsupportedFormat: The file is a camera RAW picture, or no decoder supports its samples.
        ImageTooManyPixels: The picture has more pixels than the limit.
        Damaged: Its samples cannot be read.
    """
    directories = list(_directories(content))
    if not directories:
        return Source(content)
    if any(one.is_of_a_camera or _DNG_VERSION in one.tags for one in directories):
        raise UnsupportedFormat(
            "the file is a camera's RAW picture (DNG, NEF or similar), which is not decoded; develop it first"
        )
    chosen = _picture_of(directories)
    if chosen.width * chosen.height > max_pixels:
        raise ImageTooManyPixels(
            f"the picture has {chosen.width} × {chosen.height} pixels; at most {max_pixels:,} are decoded "
            "(LOOKALIKE_MAX_PIXELS raises the limit)"
        )
    profile = chosen.tags.get(_ICC)
    icc_profile = None if profile is None or len(profile) > _MOST_PROFILE_BYTES else profile.tobytes()
    samples = None
    if not _is_read_by_decoder(chosen):
        if not _is_read_here(chosen):
            raise UnsupportedFormat(
                f"TIFF with {chosen.described()} is not decoded; save it with 8-bit samples"
            )
        on_need(_bytes_needed(chosen))
        samples = _samples_of(content, chosen)
    if samples is not None:
        content = b""
    begun = content[:4] + struct.pack(f"{chosen.order}I", chosen.offset) + content[8:]
    is_scaled_here = samples is not None or chosen.bits[0] > 8
    return Source(
        begun,
        # The decoder applies the orientation itself.
        orientation=1 if samples is None else chosen.number(_ORIENTATION, 1),
        icc_profile=icc_profile,
        is_negative=chosen.number(_PHOTOMETRIC) == _WHITE_IS_ZERO and is_scaled_here,
        bits=chosen.bits[0],
        samples=samples,
    )


def _directories(content: bytes) -> Iterator[Directory]:
    """Yield all directories in the main chain and one level of subdirectories."""
    order = "<" if content[:2] == b"II" else ">"
    waiting = [int.from_bytes(content[4:8], "little" if order == "<" else "big")]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_DIRECTORIES:
        at = waiting.pop(0)
        if at in seen or not 8 <= at <= len(content) - 2:
            continue
        seen.add(at)
        found = _directory(content, order, at)
        if found is None:
            continue
        yield found
        waiting += [found.following, *found.numbers(_SUB_DIRECTORIES)[:_MOST_DIRECTORIES]]


def _directory(content: bytes, order: str, at: int) -> Directory | None:
    (count,) = struct.unpack_from(f"{order}H", content, at)
    tags: dict[int, NDArray[Any]] = {}
    end = at + 2 + 12 * count
    for place in range(at + 2, min(end, len(content) - 11), 12):
        tag, kind, values = struct.unpack_from(f"{order}HHI", content, place)
        if tag not in _WANTED or kind not in _TYPES or values > _MOST_PROFILE_BYTES:
            continue
        dtype = np.dtype(order + _TYPES[kind])
        size = values * dtype.itemsize
        where = place + 8 if size <= 4 else struct.unpack_from(f"{order}I", content, place + 8)[0]
        if where + size <= len(content) and (tag == _ICC or values <= _MOST_VALUES):
            tags[tag] = np.frombuffer(content, dtype, values, where)
    following = struct.unpack_from(f"{order}I", content, end)[0] if end + 4 <= len(content) else 0
    found = Directory(at, order, tags, following)
    return found if found.width and found.height else None


def _picture_of(directories: list[Directory]) -> Directory:
    """Select the picture: the first directory, unless it is a reduced version of another one."""
    first = directories[0]
    sub = set(first.numbers(_SUB_DIRECTORIES))
    area = first.width * first.height
    larger = [
        one
        for one in directories[1:]
        if not one.is_reduced and one.width * one.height > area and (first.is_reduced or one.offset in sub)
    ]
    return max(larger, key=lambda one: one.width * one.height, default=first)


def _is_read_by_decoder(one: Directory) -> bool:
    """Return whether Pillow reads the samples correctly."""
    bits, photometric, formats = set(one.bits), one.number(_PHOTOMETRIC), one.sample_formats
    if len(bits) != 1 or one.number(_COMPRESSION, 1) not in _COMPRESSIONS:
        return False
    depth = bits.pop()
    is_grey = photometric in {_WHITE_IS_ZERO, _BLACK_IS_ZERO}
    is_plain = one.number(_COMPRESSION, 1) == _PLAIN
    if formats == {_FLOAT}:
        return is_grey and depth == 32 and one.bands == 1 and not is_plain
    if formats != {_UNSIGNED} or (photometric == _CMYK and one.number(_INK_SET, 1) != 1):
        return False
    if is_grey and one.bands == 1:
        is_twelve = depth == 12 and photometric == _BLACK_IS_ZERO and one.order == "<"
        return depth in {1, 2, 4, 8} or is_twelve or (depth == 16 and not is_plain and one.order == "<")
    return _are_colours_read_by_decoder(one, depth, is_plain=is_plain)


def _are_colours_read_by_decoder(one: Directory, depth: int, *, is_plain: bool) -> bool:
    photometric = one.number(_PHOTOMETRIC)
    is_planar = one.number(_PLANAR, 1) == 2 and one.bands > 1
    if photometric == _PALETTE:
        return depth in {1, 2, 4, 8} and not is_planar
    if photometric == _YCBCR and is_plain:
        # Pillow ignores chroma subsampling in uncompressed data.
        return depth == 8 and one.numbers(_SUBSAMPLING, (2, 2)) == (1, 1) and not is_planar
    if depth == 16:
        return photometric in {_RGB, _CMYK} and not is_planar
    return depth == 8 and photometric in {_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _CMYK, _YCBCR, _LAB}


def _is_read_here(one: Directory) -> bool:
    bits, formats = set(one.bits), one.sample_formats
    photometric = one.number(_PHOTOMETRIC)
    if len(bits) != 1 or len(formats) != 1 or photometric not in _DECODED_BANDS:
        return False
    if one.bands < _DECODED_BANDS[photometric] or (photometric == _CMYK and one.number(_INK_SET, 1) != 1):
        return False
    if one.number(_COMPRESSION, 1) not in {_PLAIN, *_DEFLATE} or one.number(_FILL_ORDER, 1) != 1:
        return False
    depth, predictor = bits.pop(), one.number(_PREDICTOR, 1)
    if formats == {_FLOAT}:
        return depth in {16, 32, 64} and predictor in {1, 3}
    return formats == {_UNSIGNED} and (
        (depth in {8, 16, 32} and predictor in {1, 2}) or (1 <= depth < 32 and predictor == 1)
    )


@dataclass(frozen=True, slots=True)
class _Cells:
    """Layout of the samples in strips or tiles."""

    columns: int
    rows: int
    across: int
    down: int
    planes: int
    are_tiles: bool
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, one: Directory) -> "_Cells":
        """Read the strip or tile layout of a directory.

        Raises:
            Damaged: There are too few for its size.
        """
        are_tiles = _TILE_OFFSETS in one.tags
        if are_tiles:
            columns, rows = one.number(_TILE_WIDTH), one.number(_TILE_HEIGHT)
            offsets, sizes = one.numbers(_TILE_OFFSETS), one.numbers(_TILE_BYTES)
        else:
            columns, rows = one.width, min(one.height, one.number(_STRIP_ROWS, one.height))
            offsets, sizes = one.numbers(_STRIP_OFFSETS), one.numbers(_STRIP_BYTES)
        planes = one.bands if one.number(_PLANAR, 1) == 2 else 1
        if not 0 < columns <= _MOST_CELL_SIDE or not 0 < rows <= _MOST_CELL_SIDE:
            raise Damaged
        across, down = -(-one.width // columns), -(-one.height // rows)
        if len(sizes) != len(offsets) or len(offsets) < across * down * planes:
            raise Damaged
        return cls(columns, rows, across, down, planes, are_tiles, offsets, sizes)


def _bytes_needed(one: Directory) -> int:
    """Return about how much memory it takes to read a picture's samples here and to reduce them to 8 bits."""
    item_bytes = max(1, one.bits[0] // 8)
    # The samples, a strip that may be as large, its sums, and the same in 8 bits.
    return one.width * one.height * (one.bands * (3 * item_bytes + 3) + 8)


def _samples_of(content: bytes, one: Directory) -> Samples:
    """Read strips or tiles with NumPy.

    Raises:
        Damaged: They are missing or too short.
        ImageTooManyPixels: They take too much memory.
    """
    wanted = _DECODED_BANDS[one.number(_PHOTOMETRIC)]
    alpha = _ALPHAS.get(one.numbers(_EXTRA)[:1], "") if one.bands > wanted and wanted in {1, 3} else ""
    kept = wanted + len(alpha)
    depth = one.bits[0]
    is_float = one.sample_formats == {_FLOAT}
    dtype = np.dtype(f"f{depth // 8}" if is_float else "u1" if depth <= 8 else "u2" if depth <= 16 else "u4")
    cells = _Cells.of(one)
    in_cell = one.bands if cells.planes == 1 else 1
    for pixels, bands in ((one.width * one.height, kept), (cells.columns * cells.rows, in_cell)):
        if pixels * bands * dtype.itemsize > _MOST_SAMPLE_BYTES:
            raise ImageTooManyPixels("the picture's samples need more memory than allowed")
    values = np.empty((one.height, one.width, kept), dtype)
    in_plane = cells.across * cells.down
    for i in range(in_plane * min(cells.planes, kept) if cells.planes > 1 else in_plane):
        plane, cell = divmod(i, in_plane)
        y, x = cell // cells.across * cells.rows, cell % cells.across * cells.columns
        height = cells.rows if cells.are_tiles else min(cells.rows, one.height - y)
        packed = content[cells.offsets[i] : cells.offsets[i] + cells.sizes[i]]
        block = _unpacked(packed, one, (height, cells.columns, in_cell), dtype)
        block = block[: one.height - y, : one.width - x]
        target = values[y : y + height, x : x + cells.columns]
        if cells.planes > 1:
            target[:, :, plane] = block[:, :, 0]
        else:
            target[...] = block[:, :, :kept]
    return Samples(values, {1: "L", 3: "RGB", 4: "CMYK"}[wanted] + alpha, depth)


def _unpacked(packed: bytes, one: Directory, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the samples of a strip or tile, shape (rows, columns, bands)."""
    height, width, bands = shape
    depth, predictor = one.bits[0], one.number(_PREDICTOR, 1)
    row_bytes = -(-width * bands * depth // 8)
    if one.number(_COMPRESSION, 1) in _DEFLATE:
        try:
            packed = zlib.decompressobj().decompress(packed, row_bytes * height)
        except zlib.error as error:
            raise Damaged from error
    if len(packed) < row_bytes * height:
        raise Damaged
    rows = np.frombuffer(packed, np.uint8, row_bytes * height).reshape(height, row_bytes)
    if predictor == 3:
        rows = _without_float_predictor(rows, bands, depth // 8)
        return rows.view(np.dtype(f">{dtype.kind}{dtype.itemsize}")).reshape(shape).astype(dtype)
    if depth in {8, 16, 32, 64}:
        samples = (
            rows.reshape(-1)
            .view(np.dtype(f"{one.order}{dtype.kind}{dtype.itemsize}"))
            .reshape(shape)
            .astype(dtype)
        )
        return np.cumsum(samples, axis=1, dtype=dtype) if predictor == 2 else samples
    # Samples of odd sizes are bit-packed, most significant bit first; each row starts at a byte.
    bits = np.unpackbits(rows, axis=1)[:, : width * bands * depth].reshape(height, width, bands, depth)
    samples = np.zeros(shape, dtype)
    for i in range(depth):
        samples = (samples << 1) | bits[..., i].astype(dtype)
    return samples


def _without_float_predictor(rows: NDArray[np.uint8], bands: int, size: int) -> NDArray[np.uint8]:
    """Undo the floating-point predictor, which groups bytes by significance and stores differences."""
    height, row_bytes = rows.shape
    by_band = rows.reshape(height, row_bytes // bands, bands)
    summed = np.cumsum(by_band, axis=1, dtype=np.uint8).reshape(height, size, row_bytes // size)
    return np.ascontiguousarray(summed.transpose(0, 2, 1)).reshape(height, row_bytes)
