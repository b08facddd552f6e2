"""Start imports of many pictures: stage the upload for the workers, and queue a job."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Final

import structlog

from app.domain.duplicates import OnDuplicate, OnNearDuplicate
from app.domain.errors import ImageTooLarge, LookalikeError, UnknownJob
from app.domain.jobs import ItemStatus, JobKind, JobState, new_job_id
from app.images.archives import kind_of
from app.images.objects import store_faults
from app.images.picture_sources import PictureSources
from app.images.staging import Staging
from app.scratch import scratch_folder, sweep_scratch
from app.services.job_control.jobs import Jobs, JobView

_log = structlog.get_logger()

UPLOAD: Final = "upload"
"""Name of the uploaded file among a job's staged files."""


class SourceKind(StrEnum):
    """Kinds of sources that an import reads."""

    ARCHIVE = "archive"
    NDJSON = "ndjson"
    CSV = "csv"
    URLS = "urls"
    FOLDER = "folder"
    PREFIX = "prefix"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Options of an import."""

    collection: str = "default"
    on_duplicate: OnDuplicate = OnDuplicate.SKIP
    on_near_duplicate: OnNearDuplicate | None = None
    """What to do with copies of pictures under other ids; None not to look for them."""
    label: bool = True
    """Whether to add the name of each file's folder to its metadata as ``label``."""


class Imports:
    """Start imports, and delete their staged files once no retry needs them."""

    def __init__(
        self,
        jobs: Jobs,
        staging: Staging,
        sources: PictureSources,
        *,
        uploads_dir: Path,
        max_upload_bytes: int,
        retention: timedelta,
    ) -> None:
        """Start imports.

        Args:
            jobs: Queues the jobs.
            staging: Stores uploads for the workers.
            sources: Folders, object stores and hosts that imports may read.
            uploads_dir: Folder for temporary files; those of killed processes are removed.
            max_upload_bytes: Largest accepted upload, in bytes.
            retention: Time for which the staged files of an import with failed items are kept for a retry.
        """
        self._jobs = jobs
        self._staging = staging
        self._sources = sources
        self._uploads_dir = uploads_dir
        self._max_upload_bytes = max_upload_bytes
        self._retention = retention

    @contextmanager
    def temporary_upload(self) -> Iterator[Path]:
        """Yield the path of a temporary file for an upload; remove it at the end unless an import moved it."""
        with scratch_folder(self._uploads_dir) as folder:
            yield folder / UPLOAD

    async def receive(self, chunks: AsyncIterator[bytes], path: Path) -> None:
        """Write the chunks of an upload to a file as they arrive.

        Raises:
            ImageTooLarge: The upload is larger than accepted.
            StorageFull: The disk is full.
        """
        size = 0
        with store_faults(), path.open("wb") as file:
            async for chunk in chunks:
                size += len(chunk)
                self._check_size(size)
                await asyncio.to_thread(file.write, chunk)

    async def copy(self, source: IO[bytes], size: int, path: Path) -> None:
        """Copy a received upload of ``size`` bytes to a file.

        Raises:
            ImageTooLarge: The upload is larger than accepted.
            StorageFull: The disk is full.
        """
        self._check_size(size)
        with store_faults(), path.open("wb") as file:
            await asyncio.to_thread(shutil.copyfileobj, source, file, 1_048_576)

    async def from_upload(
        self, path: Path, kind: SourceKind, options: ImportOptions, *, name: str | None = None
    ) -> JobView:
        """Import an uploaded archive or list of references.

        Args:
            path: The uploaded file, which is moved away.
            kind: ``ARCHIVE``, ``NDJSON`` or ``CSV``.
            options: The options.
            name: The caller's name of the file.

        Raises:
            ArchiveRefused: The file is not an archive.
            UnknownCollection: The collection does not exist.
            StorageFull: The disk is full.
            Unavailable: The database or the picture store does not answer.
        """
        archive_format = await asyncio.to_thread(_archive_format, path) if kind is SourceKind.ARCHIVE else None
        return await self._start(kind, options, upload=path, name=name, archive_format=archive_format)

    async def from_urls(self, urls: Sequence[str], options: ImportOptions) -> JobView:
        """Import pictures by URL; each URL is checked when it is fetched.

        Raises:
            UnknownCollection: The collection does not exist.
            StorageFull: The disk is full.
            Unavailable: The database or the picture store does not answer.
        """
        with self.temporary_upload() as path:
            await asyncio.to_thread(_write_urls, path, urls)
            return await self._start(SourceKind.URLS, options, upload=path)

    async def from_folder(self, folder: str, options: ImportOptions) -> JobView:
        """Import the files in a folder of the server.

        Raises:
            UrlNotAllowed: The folder is outside the import root, or no root is configured.
            InvalidRequest: The folder does not exist.
            UnknownCollection: The collection does not exist.
        """
        await asyncio.to_thread(self._sources.check_folder, folder)
        return await self._start(SourceKind.FOLDER, options, name=folder)

    async def from_prefix(self, prefix: str, options: ImportOptions) -> JobView:
        """Import the objects below an object-store prefix.

        Raises:
            UrlNotAllowed: The prefix may not be read.
            UnknownCollection: The collection does not exist.
        """
        return await self._start(SourceKind.PREFIX, options, name=self._sources.check_prefix(prefix))

    async def delete_staged_if_due(self, job_id: str) -> bool:
        """Delete an import's staged files if no retry needs them; return whether they were deleted.

        They are due when all items succeeded, otherwise when the retention is over.

        Raises:
            Unavailable: The database or the picture store does not answer.
        """
        try:
            view = await self._jobs.get(job_id)
        except UnknownJob:
            is_due = True
        else:
            ended = view.record.finished_at
            all_succeeded = view.record.state is JobState.SUCCEEDED and not view.counts.get(ItemStatus.FAILED)
            is_due = ended is not None and (all_succeeded or ended < datetime.now(UTC) - self._retention)
        if is_due:
            await self._staging.delete(job_id)
        return is_due

    async def sweep_staged(self) -> int:
        """Delete the staged files of all imports that no retry needs; return the number of imports.

        Raises:
            Unavailable: The database or the picture store does not answer.
        """
        # Files are staged before the job's row is written, so keep recent ones without a row.
        oldest_recent = new_job_id(datetime.now(UTC) - self._retention)
        swept = 0
        for job_id in await self._staging.list():
            if job_id < oldest_recent or await self._exists(job_id):
                swept += await self.delete_staged_if_due(job_id)
        if swept:
            _log.info("uploads_swept", imports=swept)
        return swept

    async def sweep_temporary_files(self) -> None:
        """Remove old temporary files of killed processes of this machine.

        Raises:
            StorageUnavailable: The folder cannot be read.
        """
        with store_faults():
            await asyncio.to_thread(sweep_scratch, self._uploads_dir)

    def _check_size(self, size: int) -> None:
        if size > self._max_upload_bytes:
            raise ImageTooLarge(
                f"an archive or list may have at most {self._max_upload_bytes:,} bytes "
                "(LOOKALIKE_MAX_ARCHIVE_BYTES raises the limit)"
            )

    async def _exists(self, job_id: str) -> bool:
        try:
            await self._jobs.get(job_id)
        except UnknownJob:
            return False
        return True

    async def _start(
        self,
        kind: SourceKind,
        options: ImportOptions,
        *,
        upload: Path | None = None,
        name: str | None = None,
        archive_format: str | None = None,
    ) -> JobView:
        job_id = new_job_id(datetime.now(UTC))
        arguments: dict[str, Any] = {
            "source": kind.value,
            "name": name,
            "format": archive_format,
            "on_duplicate": options.on_duplicate.value,
            "on_near_duplicate": None if options.on_near_duplicate is None else options.on_near_duplicate.value,
            "label": options.label,
        }
        if upload is not None:
            await self._staging.put(job_id, UPLOAD, upload)
        try:
            return await self._jobs.start(
                JobKind.INDEX, arguments, collection=options.collection, job_id=job_id
            )
        except LookalikeError:
            await self._staging.delete(job_id)
            raise


def _archive_format(path: Path) -> str:
    with path.open("rb") as archive:
        return kind_of(archive)


def _write_urls(path: Path, urls: Sequence[str]) -> None:
    with path.open("w") as lines:
        lines.writelines(json.dumps({"uri": url}) + "\n" for url in urls)
