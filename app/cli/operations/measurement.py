"""Measure Lookalike on this machine."""

import itertools
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import words_for
from app.encoding.artifact import load_artifact
from app.encoding.encoder import Encoder, OnnxEncoder
from app.images.decode import Decoder
from app.images.sniff import Limits
from app.index.collection_index import CollectionIndex
from app.samples import samples
from app.services.operations.capacity import (
    THUMBNAIL_BYTES,
    free_memory_bytes,
    index_bytes_of,
    room_for,
    search_ms,
)
from app.settings import Misconfigured, Settings

SAMPLES: Final = 64
QUERIES: Final = 5


class NoRoom(Exception):
    """The index to measure does not fit into the free memory."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of a machine."""

    model: str
    bits: int
    pictures_per_s: float
    """Pictures of the sample gallery decoded and encoded a second, as an import does."""
    mean_pixels: float
    query_ms: float
    """Median milliseconds to decode and encode one picture."""
    pictures: int
    search_ms: float
    """Median milliseconds of a scan for the 20 nearest of ``pictures`` random codes, on one thread."""
    index_bytes: int
    """Memory of the index of ``pictures``."""
    free_memory_bytes: int | None
    free_disk_bytes: int
    stored_bytes_per_picture: float
    room: int
    """How many more pictures like the samples fit into 80 % of the free memory and disk."""


def measure(settings: Settings, *, pictures: int, seconds: float) -> Measured:
    """Measure this machine with the default model.

    Args:
        settings: The settings of the service.
        pictures: Size of the index to search in.
        seconds: How long to encode pictures for.

    Raises:
        Misconfigured: The default model is not shipped.
        NoRoom: The index does not fit into the free memory.
        ArtifactRefused: The default model is damaged.
    """
    folder = settings.models.artifacts_dir / settings.models.default_model
    if not folder.is_dir():
        raise Misconfigured(
            "default_model", settings.models.default_model, "name a shipped model to measure with"
        )
    encoder = OnnxEncoder(load_artifact(folder), threads=settings.models.encoder_threads)
    bytes_per_row = index_bytes_of(encoder.bits)
    free_memory = free_memory_bytes()
    if free_memory is not None and 2 * pictures * bytes_per_row > free_memory:
        raise NoRoom(
            f"an index of {pictures:,} pictures does not fit into the {free_memory / 1e9:,.1f} GB of free "
            "memory; name a smaller number"
        )
    files = [sample.read() for sample in itertools.islice(samples(), SAMPLES)]
    per_s, query_ms, mean_pixels = _encoding(settings, encoder, files, seconds)
    scan_ms, index_bytes = _searching(encoder.bits, pictures)
    stored = bytes_per_row + THUMBNAIL_BYTES + statistics.fmean(map(len, files))
    free_disk = shutil.disk_usage(_existing(settings.storage.data_dir)).free
    return Measured(
        model=encoder.name,
        bits=encoder.bits,
        pictures_per_s=round(per_s, 2),
        mean_pixels=mean_pixels,
        query_ms=round(query_ms, 3),
        pictures=pictures,
        search_ms=round(scan_ms, 3),
        index_bytes=index_bytes,
        free_memory_bytes=free_memory,
        free_disk_bytes=free_disk,
        stored_bytes_per_picture=round(stored, 1),
        room=room_for(free_memory, free_disk, bytes_per_row, stored).pictures,
    )


def _encoding(
    settings: Settings, encoder: Encoder, files: Sequence[bytes], seconds: float
) -> tuple[float, float, float]:
    """Return pictures a second, the median milliseconds of one picture, and the mean pixels of a picture."""
    children = settings.decoding.decode_children
    decoder = Decoder(Limits(), children=children)
    sizes: list[int] = []

    def prepared(content: bytes) -> NDArray[np.uint8]:
        decoded = decoder.decode(content)
        sizes.append(decoded.width * decoded.height)
        return encoder.prepare(decoded.pixels)

    try:
        with ThreadPoolExecutor(children) as pool:
            took = []
            for content in files[: QUERIES + 1]:
                start = time.perf_counter()
                encoder.encode(prepared(content)[None])
                took.append((time.perf_counter() - start) * 1000)
            done, start = 0, time.perf_counter()
            # One batch is decoded while the one before it is encoded.
            for batch in _ahead(pool, prepared, files, settings.models.max_batch):
                encoder.encode(np.stack(batch))
                done += len(batch)
                if time.perf_counter() - start >= seconds:
                    break
            per_s = done / (time.perf_counter() - start)
    finally:
        decoder.close()
    # The first one starts the decoding process.
    return per_s, statistics.median(took[1:]), statistics.fmean(sizes)


def _ahead(
    pool: ThreadPoolExecutor,
    prepared: Callable[[bytes], NDArray[np.uint8]],
    files: Sequence[bytes],
    size: int,
) -> Iterator[list[NDArray[np.uint8]]]:
    """Yield batches of prepared pictures for ever; the next one is prepared while the caller uses one."""
    endless = itertools.cycle(files)
    batches = (
        [pool.submit(prepared, content) for content in itertools.islice(endless, size)]
        for _ in itertools.count()
    )
    waiting = next(batches)
    while True:
        following = next(batches)
        yield [future.result() for future in waiting]
        waiting = following


def _searching(bits: int, pictures: int) -> tuple[float, int]:
    """Return the median milliseconds of a search among random codes, and the memory of their index in bytes."""
    rng = np.random.default_rng(0)
    index = CollectionIndex(bits)
    codes = rng.integers(0, np.iinfo(np.uint64).max, (pictures, words_for(bits)), np.uint64, endpoint=True)
    index.load(np.arange(pictures), codes, 0)
    del codes
    view = index.view()
    search_ms(view)  # loads the kernels
    return search_ms(view) or 0.0, view.nbytes


def _existing(path: Path) -> Path:
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
