"""Plan an import: write the manifest of its items, which its parts share."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

from app.domain.errors import NothingToImport
from app.domain.texts import escaped
from app.images.archives import list_archive, unpack_gzip
from app.images.entries import ArchiveLimits, IgnoredEntry, ListedEntry, RefusedEntry
from app.images.picture_sources import PictureSources
from app.images.staging import Staging
from app.scratch import scratch_folder
from app.services.importing.imports import UPLOAD, SourceKind
from app.services.importing.lists import items_of_csv, items_of_ndjson
from app.services.importing.manifests import Manifest, SourceItem, write_lines, write_offsets

ARCHIVE: Final = "archive"
"""Name of the staged tar unpacked from a tar.gz, which supports random access."""
_LINES: Final = "manifest"
_OFFSETS: Final = "offsets"


@dataclass(frozen=True, slots=True)
class Plan:
    """Number of items of an import, and of ignored files."""

    items: int
    ignored: int
    """Number of hidden files and of files that operating systems add."""


class ImportPlanner:
    """Stage the manifest of an import."""

    def __init__(
        self, staging: Staging, sources: PictureSources, limits: ArchiveLimits, *, scratch_dir: Path
    ) -> None:
        """Plan imports.

        Args:
            staging: Stores uploads and manifests.
            sources: Folders and object stores to list.
            limits: Limits of accepted archives.
            scratch_dir: Folder for unpacked archives of many gigabytes, which is swept after a worker was
                killed, unlike the system's temporary folder.
        """
        self._scratch_dir = scratch_dir
        self._staging = staging
        self._sources = sources
        self._limits = limits

    async def plan(self, job_id: str, arguments: dict[str, Any]) -> Plan:
        """Write the manifest of an import.

        Planning again, after a worker died, keeps a complete manifest, because parts may be using it already.

        Raises:
            ArchiveRefused: The archive is damaged, or exceeds a limit.
            InvalidRequest: The list of references cannot be read.
            NothingToImport: There are no items.
            PictureGone: The staged upload was deleted.
            StorageFull: The disk is full.
            Unavailable: A store does not answer.
        """
        kind = SourceKind(arguments["source"])
        with scratch_folder(self._scratch_dir) as folder:
            lines = folder / _LINES
            ignored = 0
            if kind is SourceKind.PREFIX:
                await _write_objects(self._sources.objects(arguments["name"]), lines, label=arguments["label"])
            elif kind is SourceKind.ARCHIVE:
                ignored = await self._plan_archive(job_id, arguments, lines)
            else:
                await asyncio.to_thread(self._write_items, job_id, kind, arguments, lines)
            await self._staging.put_once(job_id, _LINES, lines)
            offsets = folder / _OFFSETS
            count = await asyncio.to_thread(self._index_lines, job_id, offsets)
            await self._staging.put(job_id, _OFFSETS, offsets)
        if count == 0:
            raise NothingToImport(_nothing_to_import(kind, ignored))
        return Plan(count, ignored)

    def open_manifest(self, job_id: str) -> Manifest:
        """Open the manifest of a planned import. Blocks.

        Raises:
            PictureGone: The staged manifest was deleted.
        """
        return Manifest(self._staging.open(job_id, _LINES), self._staging.open(job_id, _OFFSETS))

    def open_archive(self, job_id: str, arguments: dict[str, Any]) -> IO[bytes]:
        """Open the archive of a planned import. Blocks.

        Raises:
            PictureGone: The staged archive was deleted.
        """
        return self._staging.open(job_id, ARCHIVE if arguments["format"] == "gzip" else UPLOAD)

    async def _plan_archive(self, job_id: str, arguments: dict[str, Any], lines: Path) -> int:
        if arguments["format"] == "gzip":
            unpacked = lines.with_name(ARCHIVE)
            await asyncio.to_thread(self._unpack, job_id, unpacked)
            await self._staging.put(job_id, ARCHIVE, unpacked)
        return await asyncio.to_thread(self._write_entries, job_id, arguments, lines)

    def _unpack(self, job_id: str, target: Path) -> None:
        with self._staging.open(job_id, UPLOAD) as upload, target.open("wb") as file:
            unpack_gzip(upload, file, self._limits)

    def _write_entries(self, job_id: str, arguments: dict[str, Any], lines: Path) -> int:
        """Write the manifest of an archive; return the number of ignored files."""
        with self.open_archive(job_id, arguments) as archive, lines.open("wb") as sink:
            items = _ArchiveItems(list_archive(archive, self._limits), label=arguments["label"])
            write_lines(items, sink)
        return items.ignored

    def _write_items(self, job_id: str, kind: SourceKind, arguments: dict[str, Any], lines: Path) -> None:
        with lines.open("wb") as sink:
            if kind is SourceKind.FOLDER:
                files = self._sources.files(arguments["name"])
                write_lines((_item_of_path(file, label=arguments["label"]) for file in files), sink)
                return
            with self._staging.open(job_id, UPLOAD) as upload:
                items = items_of_csv(upload) if kind is SourceKind.CSV else items_of_ndjson(upload)
                write_lines(items, sink)

    def _index_lines(self, job_id: str, offsets: Path) -> int:
        with self._staging.open(job_id, _LINES) as lines, offsets.open("wb") as sink:
            return write_offsets(lines, sink)


class _ArchiveItems:
    """Iterate over the items of an archive, and count the ignored files."""

    def __init__(self, entries: Iterable[ListedEntry], *, label: bool) -> None:
        self.ignored = 0
        self._entries = entries
        self._label = label

    def __iter__(self) -> Iterator[SourceItem]:
        for entry in self._entries:
            if isinstance(entry, IgnoredEntry):
                self.ignored += 1
            elif isinstance(entry, RefusedEntry):
                yield SourceItem(entry.name, error=(entry.error.code, entry.error.detail))
            else:
                yield replace(_item_of_path(entry.name, label=self._label), entry=entry)


def _nothing_to_import(kind: SourceKind, ignored: int) -> str:
    sentence = {
        SourceKind.ARCHIVE: "the archive contains no files",
        SourceKind.FOLDER: "the folder contains no files",
        SourceKind.PREFIX: "the prefix contains no objects",
    }.get(kind, "the list contains no pictures")
    return f"{sentence} except {ignored:,} ignored ones, such as hidden files" if ignored else sentence


def _item_of_path(path: str, *, label: bool, uri: str | None = None) -> SourceItem:
    """Return an item labelled with its folder's name; escape characters that cannot be stored."""
    path = escaped(path)
    folder = path.rpartition("/")[0].rpartition("/")[2]
    return SourceItem(path, escaped(uri or path), metadata={"label": folder} if label and folder else None)


async def _write_objects(addresses: AsyncIterator[str], lines: Path, *, label: bool) -> None:
    with lines.open("wb") as sink:
        async for address in addresses:
            path = address.split("://", 1)[-1].partition("/")[2]
            write_lines([_item_of_path(path, label=label, uri=address)], sink)
