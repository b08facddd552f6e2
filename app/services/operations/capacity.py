"""What this machine has room for, and how long a search takes on it now."""

import asyncio
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.domain.perceptual import HASH_BITS
from app.domain.processes import ProcessRecord
from app.index.view import IndexView
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.job_control.heartbeats import SILENT_S
from app.store.engine import Database

ROW_OVERHEAD_BYTES: Final = 9
"""Beside its code, a row of the index has a number of 8 bytes and bits in bitmaps."""
THUMBNAIL_BYTES: Final = 10_000
"""About what the thumbnails of a picture take."""
USABLE: Final = 0.8
"""Share of the free memory and disk to plan with."""
SIZED_PICTURES: Final = 200
MEASURED_SEARCHES: Final = 15
RESULTS: Final = 20

_CGROUP: Final = Path("/sys/fs/cgroup")
_MEMINFO: Final = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class Room:
    """How many more pictures a collection could take."""

    collection: str
    pictures: int
    by_memory: int | None
    """None where the system does not tell its free memory."""
    by_disk: int
    index_bytes_per_picture: float
    stored_bytes_per_picture: float
    search_ms: float | None
    """Median time of a scan for the 20 nearest pictures, measured just now; None without pictures."""


@dataclass(frozen=True, slots=True)
class Fits:
    """How many more pictures fit into memory and on the disk."""

    by_memory: int | None
    """None where the system does not tell its free memory."""
    by_disk: int

    @property
    def pictures(self) -> int:
        """The smaller of both."""
        return self.by_disk if self.by_memory is None else min(self.by_disk, self.by_memory)


def index_bytes_of(bits: int) -> float:
    """Return the bytes of memory that a picture takes in the indexes of its code and its perceptual hash."""
    return (bits + HASH_BITS) / 8 + 2 * ROW_OVERHEAD_BYTES


def room_for(
    free_memory_bytes: int | None, free_disk_bytes: int, index_bytes: float, stored_bytes: float
) -> Fits:
    """Return how many pictures fit, if each takes ``index_bytes`` of memory and ``stored_bytes`` of disk."""
    by_memory = None if free_memory_bytes is None else int(free_memory_bytes * USABLE / index_bytes)
    return Fits(by_memory, int(free_disk_bytes * USABLE / stored_bytes))


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine of this process, and the processes on its database."""

    free_memory_bytes: int | None
    free_disk_bytes: int
    processes: Sequence[ProcessRecord]
    """Those with a recent heartbeat."""
    room: Sequence[Room]


class Capacity:
    """Measures the machine of this process."""

    def __init__(self, database: Database, catalogue: CollectionCatalogue, data_dir: Path) -> None:
        """Measure the collections of ``catalogue``; pictures are stored below ``data_dir``."""
        self._database = database
        self._catalogue = catalogue
        self._data_dir = data_dir

    async def measure(self) -> Machine:
        """Measure memory, disk and a search in each collection."""
        free_disk = shutil.disk_usage(self._data_dir).free
        free_memory = free_memory_bytes()
        async with self._database.read() as unit:
            processes = await unit.processes.live(SILENT_S)
            recent = {
                live.record.pk: await unit.images.newest(live.record.pk, None, SIZED_PICTURES)
                for live in self._catalogue.collections()
            }
        room = []
        for live in self._catalogue.collections():
            sizes = [image.size_bytes for image in recent.get(live.record.pk, ()) if image.has_bytes]
            in_index = index_bytes_of(live.index.bits)
            on_disk = in_index + (statistics.fmean(sizes) + THUMBNAIL_BYTES if sizes else THUMBNAIL_BYTES)
            fits = room_for(free_memory, free_disk, in_index, on_disk)
            room.append(
                Room(
                    collection=live.record.name,
                    pictures=fits.pictures,
                    by_memory=fits.by_memory,
                    by_disk=fits.by_disk,
                    index_bytes_per_picture=in_index,
                    stored_bytes_per_picture=on_disk,
                    search_ms=None
                    if live.local_index is None
                    else await asyncio.to_thread(search_ms, live.local_index.view()),
                )
            )
        return Machine(free_memory, free_disk, processes, room)


def search_ms(view: IndexView) -> float | None:
    """Return the median milliseconds of a search with stored codes; None without pictures."""
    _, codes = view.codes_of(view.sample_numbers(MEASURED_SEARCHES)[:MEASURED_SEARCHES])
    took = []
    for code in codes:
        start = time.perf_counter()
        view.search(code, RESULTS)
        took.append((time.perf_counter() - start) * 1000)
    return statistics.median(took) if took else None


def free_memory_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """Return the memory that this process could still take on the machine and in its container."""
    if not meminfo.exists():
        return None
    fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    free = [int(fields["MemAvailable"].split()[0]) * 1024] if "MemAvailable" in fields else []
    limit, used = cgroup / "memory.max", cgroup / "memory.current"
    if limit.exists() and used.exists() and (text := limit.read_text().strip()) != "max":
        free.append(max(0, int(text) - int(used.read_text())))
    return min(free, default=None)
