"""Plans an import: lists what it takes in, once, as a manifest that its parts share."""

import asyncio
import csv
import io
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

from app.domain.errors import FieldError, InvalidRequest
from app.images.archives import list_archive, unpack_gzip
from app.images.entries import ArchiveLimits, Entry, RefusedEntry
from app.images.places import Places
from app.images.staging import Staging
from app.services.importing.imports import UPLOAD, SourceKind
from app.services.importing.manifests import Manifest, SourceItem, write_lines, write_offsets

ARCHIVE: Final = "archive"
"""The tar out of a tar.gz, which can be read at any place."""
_LINES: Final = "manifest"
_OFFSETS: Final = "offsets"
_MAX_LINE: Final = 1_048_576
_MAX_TEXT: Final = 2_048


class ImportPlanner:
    """Turns what an import was given into a staged manifest."""

    def __init__(self, staging: Staging, places: Places, limits: ArchiveLimits) -> None:
        """Plan imports of what is staged or lies at ``places``, of archives within ``limits``."""
        self._staging = staging
        self._places = places
        self._limits = limits

    async def plan(self, job_id: str, arguments: dict[str, Any]) -> int:
        """Write the manifest of an import; returns how many items it has.

        Planning again, as after a worker's death, keeps a manifest that was written whole: parts may be
        working by it already.

        Raises:
            ArchiveRefused: The archive is damaged, or holds more than is accepted.
            InvalidRequest: The list of references cannot be read.
            PictureGone: What was uploaded is no longer kept.
            StorageFull: There is no space left.
            Unavailable: A store does not answer.
        """
        kind = SourceKind(arguments["source"])
        with tempfile.TemporaryDirectory() as folder:
            lines = Path(folder) / _LINES
            if kind is SourceKind.PREFIX:
                await _write_objects(self._places.objects(arguments["name"]), lines, label=arguments["label"])
            elif kind is SourceKind.ARCHIVE:
                await self._plan_archive(job_id, arguments, lines)
            else:
                await asyncio.to_thread(self._write_items, job_id, kind, arguments, lines)
            await self._staging.put_once(job_id, _LINES, lines)
            offsets = Path(folder) / _OFFSETS
            count = await asyncio.to_thread(self._index_lines, job_id, offsets)
            await self._staging.put(job_id, _OFFSETS, offsets)
        return count

    def open_manifest(self, job_id: str) -> Manifest:
        """The manifest of a planned import. Blocks.

        Raises:
            PictureGone: It is no longer kept.
        """
        return Manifest(self._staging.open(job_id, _LINES), self._staging.open(job_id, _OFFSETS))

    def open_archive(self, job_id: str, arguments: dict[str, Any]) -> IO[bytes]:
        """The archive of a planned import. Blocks.

        Raises:
            PictureGone: It is no longer kept.
        """
        return self._staging.open(job_id, ARCHIVE if arguments["format"] == "gzip" else UPLOAD)

    async def _plan_archive(self, job_id: str, arguments: dict[str, Any], lines: Path) -> None:
        if arguments["format"] == "gzip":
            unpacked = lines.with_name(ARCHIVE)
            await asyncio.to_thread(self._unpack, job_id, unpacked)
            await self._staging.put(job_id, ARCHIVE, unpacked)
        await asyncio.to_thread(self._write_entries, job_id, arguments, lines)

    def _unpack(self, job_id: str, target: Path) -> None:
        with self._staging.open(job_id, UPLOAD) as upload, target.open("wb") as file:
            unpack_gzip(upload, file, self._limits)

    def _write_entries(self, job_id: str, arguments: dict[str, Any], lines: Path) -> None:
        with self.open_archive(job_id, arguments) as archive, lines.open("wb") as sink:
            entries = list_archive(archive, self._limits)
            write_lines((_of_entry(entry, label=arguments["label"]) for entry in entries), sink)

    def _write_items(self, job_id: str, kind: SourceKind, arguments: dict[str, Any], lines: Path) -> None:
        with lines.open("wb") as sink:
            if kind is SourceKind.FOLDER:
                files = self._places.files(arguments["name"])
                write_lines((_labelled(file, label=arguments["label"]) for file in files), sink)
                return
            with self._staging.open(job_id, UPLOAD) as upload:
                write_lines(_of_csv(upload) if kind is SourceKind.CSV else _of_ndjson(upload), sink)

    def _index_lines(self, job_id: str, offsets: Path) -> int:
        with self._staging.open(job_id, _LINES) as lines, offsets.open("wb") as sink:
            return write_offsets(lines, sink)


def _of_entry(entry: Entry | RefusedEntry, *, label: bool) -> SourceItem:
    if isinstance(entry, RefusedEntry):
        return SourceItem(entry.name, error=(entry.error.code, entry.error.detail))
    return replace(_labelled(entry.name, label=label), entry=entry)


def _labelled(path: str, *, label: bool, uri: str | None = None) -> SourceItem:
    """An item whose folder's name is its label."""
    folder = path.rpartition("/")[0].rpartition("/")[2]
    return SourceItem(path, uri or path, metadata={"label": folder} if label and folder else None)


async def _write_objects(addresses: AsyncIterator[str], lines: Path, *, label: bool) -> None:
    with lines.open("wb") as sink:
        async for address in addresses:
            path = address.split("://", 1)[-1].partition("/")[2]
            write_lines([_labelled(path, label=label, uri=address)], sink)


def _of_ndjson(upload: IO[bytes]) -> Iterator[SourceItem]:
    for number, line in enumerate(iter(lambda: upload.readline(_MAX_LINE), b""), 1):
        if not line.strip():
            continue
        if len(line) == _MAX_LINE:
            raise InvalidRequest(f"line {number} has more than {_MAX_LINE:,} bytes")
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            fields = None
        yield _of_fields(fields, number)


def _of_csv(upload: IO[bytes]) -> Iterator[SourceItem]:
    """Rows under a head of ``uri``, perhaps ``id`` and ``metadata`` (JSON); other columns are metadata."""
    text = io.TextIOWrapper(upload, encoding="utf-8-sig", newline="")
    rows = csv.DictReader(text)
    try:
        if "uri" not in (rows.fieldnames or ()):
            raise InvalidRequest(
                errors=[FieldError("/uri", "the first line names the columns, uri among them")]
            )
        for number, row in enumerate(rows, 2):
            yield _of_row(row, number)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidRequest("the CSV cannot be read: it is damaged or not UTF-8") from error
    finally:
        text.detach()


def _of_row(row: dict[str | Any, Any], number: int) -> SourceItem:
    fields: dict[str, Any] = {"uri": row.pop("uri"), "id": row.pop("id", None) or None}
    given = row.pop("metadata", None)
    beyond = row.pop(None, None)
    try:
        metadata = json.loads(given) if given else {}
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict) or beyond:
        return _refused(
            fields["uri"], number, "metadata is a JSON object, and no row has more fields than the head"
        )
    metadata |= {name: value for name, value in row.items() if value}
    return _of_fields(fields | {"metadata": metadata or None}, number)


def _of_fields(fields: Any, number: int) -> SourceItem:
    if not isinstance(fields, dict) or not _is_text(fields.get("uri")):
        return _refused(None, number, "a line is a JSON object with a uri of 1 to 2,048 characters")
    uri, image_id, metadata = fields["uri"], fields.get("id"), fields.get("metadata")
    if not fields.keys() <= {"uri", "id", "metadata"}:
        return _refused(uri, number, "a line has the fields uri, id and metadata only")
    if (image_id is not None and not _is_text(image_id)) or not isinstance(metadata, dict | None):
        return _refused(uri, number, "id is a text, metadata an object")
    return SourceItem(uri, uri, image_id, metadata)


def _refused(uri: str | None, number: int, detail: str) -> SourceItem:
    return SourceItem(uri or f"line {number}", error=(InvalidRequest.code, detail))


def _is_text(value: Any) -> bool:
    return (
        isinstance(value, str)
        and 1 <= len(value) <= _MAX_TEXT
        and "\x00" not in value
        and not any("\ud800" <= c <= "\udfff" for c in value)
    )
