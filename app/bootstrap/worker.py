"""The services of a worker process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.bootstrap.shared import MakeEncoder, SharedServices, open_shared
from app.images.entries import ArchiveLimits
from app.images.storage import PictureStore
from app.services.importing.planning import ImportPlanner
from app.services.index_sync.index_files import IndexFiles
from app.services.index_sync.remote_check import RemoteCheck
from app.services.index_sync.remote_indexes import RemoteIndexes
from app.services.operations.lost_files import LostFiles
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class WorkerServices(SharedServices):
    """What the handlers of jobs use."""

    import_planner: ImportPlanner
    index_files: IndexFiles
    lost_files: LostFiles
    remote_check: RemoteCheck
    remote_indexes: RemoteIndexes


@asynccontextmanager
async def open_worker(
    settings: Settings, *, pictures: PictureStore | None = None, make_encoder: MakeEncoder | None = None
) -> AsyncIterator[WorkerServices]:
    """Open what a worker needs, and close it at the end; no index is loaded.

    Args:
        settings: The settings.
        pictures: A picture store to use instead of the one in the settings.
        make_encoder: Makes encoders instead of ONNX Runtime.

    Raises:
        Misconfigured: A folder is missing or not writable, or a setting has another wrong value.
        ForeignDatabase: The database has tables of another application.
        SchemaTooNew: A newer version has migrated the database.
        DatabaseUnavailable: The database does not answer.
    """
    async with open_shared(settings, pictures=pictures, make_encoder=make_encoder) as shared:
        yield worker_services(shared)


def worker_services(shared: SharedServices) -> WorkerServices:
    """Build the services of a worker on shared ones, which stay open for as long as their owner keeps them."""
    settings = shared.settings
    remote_indexes = RemoteIndexes(shared.database, shared.engine)
    limits = ArchiveLimits(
        max_entries=settings.imports.max_archive_entries,
        max_unpacked_bytes=settings.imports.max_archive_unpacked_bytes,
    )
    return WorkerServices(
        **shared.as_fields(),
        import_planner=ImportPlanner(
            shared.staging, shared.picture_sources, limits, scratch_dir=settings.storage.data_dir / "uploads"
        ),
        index_files=IndexFiles(shared.database, shared.snapshots),
        lost_files=LostFiles(
            shared.pictures, shared.backups, shared.picture_sources, max_bytes=settings.limits.max_upload_bytes
        ),
        remote_check=RemoteCheck(shared.database, remote_indexes),
        remote_indexes=remote_indexes,
    )
