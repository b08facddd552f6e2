"""Back up and restore the whole service: its tables at one moment, and its pictures, copied or referred to.

A backup is a folder of the object store, ``backups/<id>/``: tables as gzipped JSON lines, then manifest.json,
which lists every file with its SHA-256 and is written last. The format is the same on SQLite and Postgres, so
a backup of one restores into the other.
"""

import asyncio
import gzip
import hashlib
import json
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import structlog
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from app.domain.errors import BackupRefused, PictureGone, UnknownBackup
from app.domain.ids import sha256_hex
from app.domain.jobs import JobState
from app.images.objects import Objects, store_faults
from app.images.storage import PictureStore
from app.scratch import older_than, remove
from app.services.model_registry.publication import PUBLISHED_FOLDER
from app.store.backups import TABLES
from app.store.engine import Database
from app.store.unit_of_work import WriteUnit

_log = structlog.get_logger()

FORMAT: Final = 3
READABLE_FORMATS: Final = frozenset({1, 2, 3})
"""Format 1 contained the filter terms, which a restore derives from the pictures. Format 3 added verdicts."""
_TERMS_OF_FORMAT_1: Final = "image_terms"
UNFINISHED_KEPT: Final = timedelta(days=1)
"""How long files of an unfinished job are kept: a frozen worker may resume, and the job may be retried."""

_FOLDER: Final = "backups"

Progress = Callable[[str, int], Awaitable[None]]
"""Called with the phase and the number of items done since the last call."""
Row = dict[str, Any]


def _known_table(name: str) -> str:
    if name not in TABLES and name != _TERMS_OF_FORMAT_1:
        raise ValueError("no such table")
    return name


@dataclass(frozen=True, slots=True)
class BackupFile:
    """One file of a backup."""

    # Strict, because the name becomes a path.
    name: Annotated[str, Field(pattern=r"^[a-z_]+-[0-9]{5,9}\.ndjson\.gz$")]
    table: Annotated[str, AfterValidator(_known_table)]
    rows: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(slots=True)
class BackupManifest:
    """The contents of a backup, as manifest.json lists them."""

    id: str
    created_at: str
    change: int
    """Change number of its tables."""
    pictures: int = 0
    copies_pictures: bool = False
    """Whether the pictures are copied; otherwise the picture store keeps them while the backup exists."""
    missing_files: int = 0
    """Pictures whose bytes were missing from the picture store."""
    files: list[BackupFile] = field(default_factory=list)
    format: int = FORMAT

    def document(self) -> dict[str, Any]:
        """Return the manifest as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Format:
    format: int


_FORMAT_ALONE: Final = TypeAdapter(_Format)
_MANIFEST: Final = TypeAdapter(BackupManifest)


class Backups:
    """Makes, lists, deletes and restores backups."""

    def __init__(self, database: Database, objects: Objects, pictures: PictureStore, spool_dir: Path) -> None:
        """Store backups in ``objects``.

        Args:
            database: What to back up and restore.
            objects: The object store of the backups.
            pictures: The picture store.
            spool_dir: Local folder that tables are written to first, so that no transaction waits for a store.
        """
        self._database = database
        self._objects = objects
        self._pictures = pictures
        self._spool_dir = spool_dir

    async def list_all(self) -> list[dict[str, Any]]:
        """Return the manifest of every backup, newest first."""
        async with self._database.read() as unit:
            return await unit.backups.list_all()

    async def manifest(self, backup_id: str) -> BackupManifest:
        """Read a backup's manifest from the object store, which works even after the database was lost.

        Raises:
            UnknownBackup: No backup has that id.
            BackupRefused: The manifest cannot be read.
        """
        content = await self._objects.get(_key(backup_id, "manifest.json"))
        if content is None:
            raise UnknownBackup(f"there is no backup {backup_id!r}")
        try:
            written_in = _FORMAT_ALONE.validate_json(content).format
            if written_in not in READABLE_FORMATS:
                known = ", ".join(map(str, sorted(READABLE_FORMATS)))
                raise BackupRefused(f"backup {backup_id} has format {written_in}; this version reads {known}")
            manifest = _MANIFEST.validate_json(content)
        except ValidationError as error:
            raise BackupRefused(f"backup {backup_id}: manifest.json is damaged") from error
        if manifest.id != backup_id:
            raise BackupRefused(f"backup {backup_id}: manifest.json is that of another backup")
        manifest.files = [file for file in manifest.files if file.table != _TERMS_OF_FORMAT_1]
        return manifest

    async def picture(self, sha256: str) -> bytes | None:
        """Return a picture's file from a backup that copies pictures; None if none has it, intact."""
        for backup_id in reversed(await self._objects.folders(_FOLDER)):
            content = await self._objects.get(_key(backup_id, f"pictures/{sha256[:2]}/{sha256}"))
            if content is not None and sha256_hex(content) == sha256:
                return content
        return None

    async def delete(self, backup_id: str) -> None:
        """Delete a backup and its files.

        Raises:
            UnknownBackup: No backup has that id.
        """
        async with self._database.write() as unit:
            known = await unit.backups.delete(backup_id)
        had_files = await self._delete_files(backup_id)
        if not known and not had_files:
            raise UnknownBackup(f"there is no backup {backup_id!r}")

    async def take(self, backup_id: str, *, copy_pictures: bool, progress: Progress) -> BackupManifest:
        """Write the files of a backup; it is listed once ``unit.backups.add`` records it.

        Raises:
            StorageFull: There is no space left.
            Unavailable: The database or the object store is unreachable.
        """
        spool = self._spool_dir / backup_id
        await asyncio.to_thread(shutil.rmtree, spool, ignore_errors=True)
        await asyncio.to_thread(spool.mkdir, parents=True)
        await self._forget_attempt(backup_id)
        try:
            manifest, sha256s = await self._spool(spool, backup_id, progress)
            manifest.copies_pictures = copy_pictures
            manifest.missing_files = await self._keep_pictures(manifest, sha256s, progress)
            if copy_pictures:
                await self._copy_models(backup_id)
            for file in manifest.files:
                content = await asyncio.to_thread((spool / file.name).read_bytes)
                await self._objects.put(_key(backup_id, file.name), content)
            content = json.dumps(manifest.document(), indent=2).encode()
            await self._objects.put(_key(backup_id, "manifest.json"), content)
        finally:
            await asyncio.to_thread(shutil.rmtree, spool, ignore_errors=True)
        return manifest

    async def fetch(self, manifest: BackupManifest, progress: Progress) -> Path:
        """Download and verify a backup's tables, and put missing files of pictures and models back.

        Returns:
            Folder of the table files, for ``restore``.

        Raises:
            BackupRefused: A file is missing or altered.
        """
        if manifest.copies_pictures:
            for key in await self._objects.list(_key(manifest.id, "pictures")):
                sha256 = key.rpartition("/")[2]
                content = await self._objects.get(key)
                if content is not None and not await self._pictures.exists(sha256):
                    await self._pictures.put(sha256, content)
                await progress("fetching pictures", 0)
            await self._return_models(manifest.id)
        # Tables last: the sweep deletes spool folders older than a day as left by a killed worker.
        spool = self._spool_dir / f"restore-{manifest.id}"
        await asyncio.to_thread(shutil.rmtree, spool, ignore_errors=True)
        await asyncio.to_thread(spool.mkdir, parents=True)
        for file in manifest.files:
            content = await self._objects.get(_key(manifest.id, file.name))
            if content is None or hashlib.sha256(content).hexdigest() != file.sha256:
                raise BackupRefused(
                    f"backup {manifest.id}: {file.name} is missing or not the file that was written"
                )
            await asyncio.to_thread((spool / file.name).write_bytes, content)
            await progress("fetching tables", file.rows)
        return spool

    async def restore(self, unit: WriteUnit, manifest: BackupManifest, spool: Path) -> int:
        """Replace all collections and pictures by those of a backup, in one transaction.

        Searches use the previous state until it commits; other writes wait or are refused with Retry-After.

        Returns:
            The change number at which every process reloads.
        """
        files = await unit.backups.clear()
        for file in manifest.files:
            lines = await asyncio.to_thread(_read_lines, spool / file.name)
            for start in range(0, len(lines), 2_000):
                await unit.backups.put_rows(
                    file.table, [json.loads(line) for line in lines[start : start + 2_000]]
                )
        return await unit.backups.finish(manifest.change, files)

    async def sweep(self, *, kept: timedelta = UNFINISHED_KEPT) -> int:
        """Delete the files of unfinished backups; return the number of those backups.

        A complete backup that this database does not list stays: it may be the only copy of a lost database.

        Raises:
            Unavailable: The database or the object store is unreachable.
        """
        swept = 0
        for backup_id in await self._objects.folders(_FOLDER):
            if await self._is_abandoned(backup_id, datetime.now(UTC) - kept):
                await self._delete_files(backup_id)
                swept += 1
        if swept:
            _log.info("unfinished_backups_swept", backups=swept)
        return swept

    async def _is_abandoned(self, backup_id: str, before: datetime) -> bool:
        async with self._database.read() as unit:
            if await unit.backups.exists(backup_id):
                return False
            job = await unit.jobs.get(backup_id)
        if job is not None and (job.finished_at is None or job.finished_at > before):
            return False
        keys = await self._objects.list(_key(backup_id, ""))
        if _key(backup_id, "manifest.json") in keys:
            return job is not None and job.state is not JobState.SUCCEEDED
        moments = [await self._objects.last_modified(key) for key in keys]
        # A local store keeps empty folders.
        return bool(keys) and all(moment is None or moment < before for moment in moments)

    async def sweep_spool(self, *, kept: timedelta = UNFINISHED_KEPT) -> None:
        """Delete spooled tables that a killed job left on this machine.

        Raises:
            Unavailable: The database does not answer, or the folder cannot be read.
        """
        with store_faults():
            left = await asyncio.to_thread(older_than, self._spool_dir, kept.total_seconds())
        for folder in left:
            async with self._database.read() as unit:
                job = await unit.jobs.get(folder.name)
            if job is None or job.finished_at is not None:
                await asyncio.to_thread(remove, folder)

    async def _delete_files(self, backup_id: str) -> bool:
        """Delete a backup's files; return whether there were any."""
        keys = await self._objects.list(_key(backup_id, ""))
        # The manifest first: files without one are not a backup.
        for key in sorted(keys, key=lambda key: not key.endswith("manifest.json")):
            await self._objects.delete(key)
        return bool(keys)

    async def _forget_attempt(self, backup_id: str) -> None:
        """Delete the tables of a killed attempt, which are of another moment."""
        keys = await self._objects.list(_key(backup_id, ""))
        left = [key for key in keys if not key.startswith(_key(backup_id, "pictures/"))]
        # The manifest first: files without one are not a backup.
        for key in sorted(left, key=lambda key: not key.endswith("manifest.json")):
            await self._objects.delete(key)

    async def _spool(self, spool: Path, backup_id: str, progress: Progress) -> tuple[BackupManifest, list[str]]:
        sha256s: set[str] = set()
        async with self._database.read() as unit:
            created_at = datetime.now(UTC).isoformat()
            manifest = BackupManifest(backup_id, created_at, await unit.feed.latest())
            for table in TABLES:
                number = 0
                async for rows in unit.backups.rows(table):
                    if table == "images":
                        manifest.pictures += len(rows)
                        sha256s |= {row["sha256"] for row in rows if row["has_bytes"]}
                    name = f"{table}-{number:05}.ndjson.gz"
                    digest = await asyncio.to_thread(_write_lines, spool / name, rows)
                    manifest.files.append(BackupFile(name, table, len(rows), digest))
                    number += 1
                    await progress("reading tables", len(rows) if table == "images" else 0)
        return manifest, sorted(sha256s)

    async def _keep_pictures(self, manifest: BackupManifest, sha256s: list[str], progress: Progress) -> int:
        missing = 0
        for sha256 in sha256s:
            if manifest.copies_pictures:
                try:
                    await self._objects.put(
                        _key(manifest.id, f"pictures/{sha256[:2]}/{sha256}"), await self._pictures.get(sha256)
                    )
                except PictureGone:
                    missing += 1
                await progress("copying pictures", 0)
            elif not await self._pictures.exists(sha256):
                missing += 1
        return missing

    async def _copy_models(self, backup_id: str) -> None:
        """Copy the files of published models; the key of each contains its SHA-256."""
        for key in await self._objects.list(PUBLISHED_FOLDER):
            content = await self._objects.get(key)
            if content is not None:
                await self._objects.put(_key(backup_id, key), content)

    async def _return_models(self, backup_id: str) -> None:
        """Put the files of published models back that are missing; an altered copy stays where it is."""
        prefix = _key(backup_id, "")
        copies = await self._objects.list(_key(backup_id, PUBLISHED_FOLDER))
        for key in await self._objects.missing([copy.removeprefix(f"{prefix}/") for copy in copies]):
            content = await self._objects.get(f"{prefix}/{key}")
            if content is not None and sha256_hex(content) == key.rpartition("/")[2]:
                await self._objects.put(key, content)


def _key(backup_id: str, name: str) -> str:
    return f"{_FOLDER}/{backup_id}/{name}" if name else f"{_FOLDER}/{backup_id}"


def _write_lines(path: Path, rows: list[Row]) -> str:
    text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    content = gzip.compress(text.encode(), compresslevel=3, mtime=0)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _read_lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()
