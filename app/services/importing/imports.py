"""Imports of many pictures: what was sent is kept where every worker finds it, and a job takes it in."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Final

import structlog

from app.domain.duplicates import OnDuplicate
from app.domain.errors import ImageTooLarge, LookalikeError, UnknownJob
from app.domain.jobs import ItemStatus, JobKind, JobState, new_job_id
from app.images.archives import kind_of
from app.images.leftovers import remove_older_than
from app.images.objects import store_faults
from app.images.picture_sources import PictureSources
from app.images.staging import Staging
from app.services.job_control.jobs import Jobs, JobView

_log = structlog.get_logger()

UPLOAD: Final = "upload"
"""What was sent, in a job's staged set."""


class SourceKind(StrEnum):
    """What an import takes in."""

    ARCHIVE = "archive"
    NDJSON = "ndjson"
    CSV = "csv"
    URLS = "urls"
    FOLDER = "folder"
    PREFIX = "prefix"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to take pictures in."""

    collection: str = "default"
    on_duplicate: OnDuplicate = OnDuplicate.SKIP
    label: bool = True
    """Whether the name of a file's folder becomes its metadata's ``label``."""


class Imports:
    """Starts imports, and forgets what they were given when it is of no more use."""

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
            jobs: Where they are queued.
            staging: Where what was sent waits for them.
            sources: What they may read that was not sent.
            uploads_dir: Folder in which uploads are received and planned; what killed processes leave there is
                removed after ``retention``.
            max_upload_bytes: Largest upload that is taken.
            retention: How long the upload of an import that did not succeed whole is kept for a retry.
        """
        self._jobs = jobs
        self._staging = staging
        self._sources = sources
        self._uploads_dir = uploads_dir
        self._max_upload_bytes = max_upload_bytes
        self._retention = retention

    @contextmanager
    def receiving(self) -> Iterator[Path]:
        """A file to receive an upload in; it is gone at the end, unless an import has taken it."""
        self._uploads_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._uploads_dir) as folder:
            yield Path(folder) / UPLOAD

    async def receive(self, chunks: AsyncIterator[bytes], path: Path) -> None:
        """Write an upload to a file as it comes in.

        Raises:
            ImageTooLarge: It is larger than is taken.
            StorageFull: There is no space left.
        """
        size = 0
        with store_faults(), path.open("wb") as file:
            async for chunk in chunks:
                size += len(chunk)
                self._check_size(size)
                await asyncio.to_thread(file.write, chunk)

    async def copy(self, source: IO[bytes], size: int, path: Path) -> None:
        """Write an upload of ``size`` bytes that was received elsewhere to a file.

        Raises:
            ImageTooLarge: It is larger than is taken.
            StorageFull: There is no space left.
        """
        self._check_size(size)
        with store_faults(), path.open("wb") as file:
            await asyncio.to_thread(shutil.copyfileobj, source, file, 1_048_576)

    async def from_upload(
        self, path: Path, kind: SourceKind, options: ImportOptions, *, name: str | None = None
    ) -> JobView:
        """Import an archive or a list of references that was received.

        Args:
            path: The file; it is moved away.
            kind: ``ARCHIVE``, ``NDJSON`` or ``CSV``.
            options: How to take its pictures in.
            name: What the caller calls the file.

        Raises:
            ArchiveRefused: It is no archive.
            UnknownCollection: There is no such collection.
            StorageFull: It cannot be kept.
            Unavailable: The database or the picture store does not answer.
        """
        form = await asyncio.to_thread(_archive_form, path) if kind is SourceKind.ARCHIVE else None
        return await self._start(kind, options, upload=path, name=name, form=form)

    async def from_urls(self, urls: Sequence[str], options: ImportOptions) -> JobView:
        """Import pictures by their addresses; each is checked when it is fetched.

        Raises:
            UnknownCollection: There is no such collection.
            StorageFull: The list cannot be kept.
            Unavailable: The database or the picture store does not answer.
        """
        with self.receiving() as path:
            await asyncio.to_thread(_write_urls, path, urls)
            return await self._start(SourceKind.URLS, options, upload=path)

    async def from_folder(self, folder: str, options: ImportOptions) -> JobView:
        """Import the files of a folder below the root that imports may read.

        Raises:
            UrlNotAllowed: It is not below it, or there is no such root.
            InvalidRequest: There is no such folder.
            UnknownCollection: There is no such collection.
        """
        await asyncio.to_thread(self._sources.check_folder, folder)
        return await self._start(SourceKind.FOLDER, options, name=folder)

    async def from_prefix(self, prefix: str, options: ImportOptions) -> JobView:
        """Import the objects below an object-store address.

        Raises:
            UrlNotAllowed: It may not be read.
            UnknownCollection: There is no such collection.
        """
        return await self._start(SourceKind.PREFIX, options, name=self._sources.check_prefix(prefix))

    async def forget_if_over(self, job_id: str) -> bool:
        """Remove what an import was given once no retry can need it; returns whether it is gone.

        That is when the import succeeded without a failed item, and else after the retention.

        Raises:
            Unavailable: The database or the picture store does not answer.
        """
        try:
            view = await self._jobs.get(job_id)
        except UnknownJob:
            is_due = True
        else:
            ended = view.record.finished_at
            is_whole = view.record.state is JobState.SUCCEEDED and not view.counts.get(ItemStatus.FAILED)
            is_due = ended is not None and (is_whole or ended < datetime.now(UTC) - self._retention)
        if is_due:
            await self._staging.delete(job_id)
        return is_due

    async def sweep(self) -> int:
        """Remove what is staged for imports that are over; returns for how many.

        Raises:
            Unavailable: The database or the picture store does not answer.
        """
        # Staged before the job's row is written: what has no row and is young may be about to get one.
        youngest = new_job_id(datetime.now(UTC) - self._retention)
        swept = 0
        for job_id in await self._staging.list():
            if job_id < youngest or await self._exists(job_id):
                swept += await self.forget_if_over(job_id)
        if swept:
            _log.info("uploads_swept", imports=swept)
        return swept

    async def sweep_received(self) -> None:
        """Remove what killed processes of this machine were receiving or unpacking.

        Raises:
            StorageUnavailable: The folder cannot be read.
        """
        with store_faults():
            await asyncio.to_thread(remove_older_than, self._uploads_dir, self._retention.total_seconds())

    def _check_size(self, size: int) -> None:
        if size > self._max_upload_bytes:
            raise ImageTooLarge(f"an archive or list has at most {self._max_upload_bytes:,} bytes here")

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
        form: str | None = None,
    ) -> JobView:
        job_id = new_job_id(datetime.now(UTC))
        arguments: dict[str, Any] = {
            "source": kind.value,
            "name": name,
            "format": form,
            "on_duplicate": options.on_duplicate.value,
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


def _archive_form(path: Path) -> str:
    with path.open("rb") as archive:
        return kind_of(archive)


def _write_urls(path: Path, urls: Sequence[str]) -> None:
    with path.open("w") as lines:
        lines.writelines(json.dumps({"uri": url}) + "\n" for url in urls)
