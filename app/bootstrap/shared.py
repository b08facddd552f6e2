"""What the service and its workers both need: database, pictures, models, jobs, retention."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, Final

from threadpoolctl import threadpool_limits

from app.bootstrap.database import open_database
from app.domain.errors import IndexUnavailable
from app.encoding.artifact import Artifact
from app.encoding.batching import MicroBatcher
from app.encoding.encoder import Encoder, OnnxEncoder
from app.images.decode import Decoder
from app.images.fetch import Fetcher
from app.images.objects import Objects, ObstoreObjects
from app.images.picture_sources import PictureSources
from app.images.put_journal import PutJournal
from app.images.sniff import Limits
from app.images.staging import Staging
from app.images.storage import ObstorePictureStore, PictureStore
from app.remote.connection import EngineAddress, EngineConnection
from app.services.importing.imports import Imports
from app.services.index_sync.snapshots import Snapshots
from app.services.job_control.jobs import Jobs
from app.services.model_life.jobs import ModelJobs
from app.services.model_life.reencoding import Reencoding
from app.services.model_life.relearning import Relearning
from app.services.model_registry.models import Models
from app.services.model_registry.publication import ArtifactStore
from app.services.operations.backups import Backups
from app.services.operations.chores import Chores, once
from app.services.operations.missing_hashes import MissingHashes
from app.services.operations.retention import Chore, Retention
from app.services.operations.sweeping import Sweeper
from app.services.operations.training_files import TrainingFiles
from app.services.pictures.coding import PictureCoder
from app.services.pictures.preparing import Preparation
from app.services.supervision import Supervisor
from app.settings import Misconfigured, Settings
from app.store.engine import Database

RETENTION_S: Final = 60.0
"""Seconds between two retention turns if no chore is due sooner."""

MakeEncoder = Callable[[Artifact], Encoder]
"""Makes the encoder of a model artifact."""


@dataclass(frozen=True, slots=True)
class SharedServices:
    """The services that the API and the worker have in common."""

    settings: Settings
    database: Database
    supervisor: Supervisor
    objects: Objects
    journal: PutJournal
    pictures: PictureStore
    picture_sources: PictureSources
    staging: Staging
    snapshots: Snapshots
    engine: EngineConnection | None
    """Server for indexes outside the processes; None if the settings name none."""
    fetcher: Fetcher | None
    coder: PictureCoder
    models: Models
    preparation: Preparation
    jobs: Jobs
    imports: Imports
    reencoding: Reencoding
    backups: Backups

    def start_retention(self, process_id: str) -> None:
        """Start to delete expired rows and files in the background."""
        chores = Chores(
            self.database,
            Sweeper(self.database, self.pictures, grace_s=self.settings.storage.orphan_grace_s),
            self.imports,
            self.backups,
            TrainingFiles(
                self.database,
                self.objects,
                self.settings.storage.data_dir,
                retention=timedelta(hours=self.settings.imports.upload_retention_hours),
            ),
            self.objects,
            self.journal,
            MissingHashes(self.database, self.jobs),
            sweep_interval_s=self.settings.storage.sweep_interval_s,
            job_retention=timedelta(days=self.settings.jobs.job_retention_days),
        )
        retention = Retention(self.database, [*chores.all(), *self._relearning()], process_id=process_id)
        self.supervisor.repeat("retention", retention.turn, every_s=RETENTION_S)

    def _relearning(self) -> list[Chore]:
        settings = self.settings.jobs
        if not settings.learn_words_interval_s:
            return []
        model_jobs = ModelJobs(self.database, self.models, self.jobs, self.picture_sources)
        relearning = Relearning(self.database, model_jobs, settings.learn_words_keys)
        return [Chore("learned words", once(relearning.start_due), settings.learn_words_interval_s)]

    def as_fields(self) -> dict[str, Any]:
        """Return the shared services by name, to build the services of an entry point."""
        return {field.name: getattr(self, field.name) for field in fields(SharedServices)}


@asynccontextmanager
async def open_shared(
    settings: Settings, *, pictures: PictureStore | None, make_encoder: MakeEncoder | None
) -> AsyncIterator[SharedServices]:
    """Open the shared services; the database is migrated and the shipped models are registered.

    Matrix products of this process are limited to one thread.

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
    # Products here take microseconds, but each would wake a thread of OpenBLAS that then spins for 25 ms.
    threadpool_limits(1, user_api="blas")
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings))
        objects = _open_objects(settings)
        coder = PictureCoder(_make_decoder(settings), decode_threads=settings.decoding.decode_children)
        stack.push_async_callback(asyncio.to_thread, coder.close)
        models = make_models(settings, database, objects, make_encoder=make_encoder)
        stack.push_async_callback(models.close)
        await models.register_shipped()
        fetcher = _make_fetcher(settings)
        if fetcher is not None:
            stack.callback(fetcher.close)
        supervisor = Supervisor()
        stack.push_async_callback(supervisor.close)
        store = pictures or ObstorePictureStore(settings.storage.resolved_pictures_url)
        sources = PictureSources(settings.imports.import_root, settings.imports.import_prefixes, fetcher)
        staging, jobs = Staging(settings.storage.resolved_pictures_url), Jobs(database)
        journal = PutJournal(settings.storage.data_dir / "journal", rotate_s=settings.storage.orphan_grace_s)
        stack.callback(journal.close)
        engine = make_engine(settings)
        if engine is not None:
            stack.callback(engine.close)
        yield SharedServices(
            settings=settings,
            database=database,
            supervisor=supervisor,
            objects=objects,
            journal=journal,
            pictures=store,
            picture_sources=sources,
            staging=staging,
            snapshots=Snapshots(
                settings.resolved_snapshots_dir if settings.search.keep_snapshots else None,
                shares_pages=settings.search.share_index_pages,
            ),
            engine=engine,
            fetcher=fetcher,
            coder=coder,
            models=models,
            preparation=Preparation(database, store, models, coder, journal),
            jobs=jobs,
            imports=Imports(
                jobs,
                staging,
                sources,
                uploads_dir=settings.storage.data_dir / "uploads",
                max_upload_bytes=settings.imports.max_archive_bytes,
                retention=timedelta(hours=settings.imports.upload_retention_hours),
            ),
            reencoding=Reencoding(
                database, store, models, coder, sources, max_bytes=settings.limits.max_upload_bytes
            ),
            backups=Backups(database, objects, store, settings.storage.data_dir / "spool"),
        )


def make_models(
    settings: Settings, database: Database, objects: Objects, *, make_encoder: MakeEncoder | None = None
) -> Models:
    """Return the registered models; ``make_encoder`` replaces ONNX Runtime."""

    def onnx_encoder(artifact: Artifact) -> Encoder:
        return OnnxEncoder(artifact, threads=settings.models.encoder_threads)

    return Models(
        database,
        settings.models.artifacts_dir,
        ArtifactStore(objects, settings.storage.data_dir / "models"),
        make_encoder=make_encoder or onnx_encoder,
        make_batcher=lambda encoder: MicroBatcher(
            encoder,
            max_batch=settings.models.max_batch,
            max_waiting=settings.limits.max_requests_in_flight * 32,
        ),
    )


def _open_objects(settings: Settings) -> Objects:
    url = settings.storage.resolved_pictures_url
    try:
        return ObstoreObjects(url)
    except ValueError as error:
        raise Misconfigured("pictures_url", url, f"{error}; name a bucket or a folder") from error


def make_engine(settings: Settings) -> EngineConnection | None:
    """Return a connection to the server of indexes, not yet opened; None if the settings name none.

    Raises:
        Misconfigured: A package is missing, or the file of the password cannot be read.
    """
    engine = settings.engine
    if engine.clickhouse_url is None:
        return None
    if find_spec("clickhouse_connect") is None:
        raise Misconfigured("clickhouse_url", engine.clickhouse_url, "install lookalike[clickhouse]")
    engine.read_password()

    def read_password() -> str:
        try:
            return engine.read_password()
        except Misconfigured as error:
            raise IndexUnavailable("the password of the index engine cannot be read") from error

    return EngineConnection(
        EngineAddress(
            engine.clickhouse_url,
            engine.clickhouse_database,
            user=engine.clickhouse_user,
            read_password=read_password,
            ca_file=engine.clickhouse_ca_file,
            cluster=engine.clickhouse_cluster,
            deadline_s=engine.clickhouse_deadline_s,
            max_memory_bytes=engine.clickhouse_max_memory_bytes,
            threads=engine.clickhouse_threads,
        )
    )


def _make_decoder(settings: Settings) -> Decoder:
    limits = Limits(
        max_bytes=settings.limits.max_upload_bytes,
        max_pixels=settings.decoding.max_pixels,
        max_scans=settings.decoding.max_scans,
    )
    return Decoder(
        limits,
        # The last one starts only when queries and additions need decoding at the same time.
        children=settings.decoding.decode_children + 1,
        timeout_s=settings.decoding.decode_timeout_s,
        cpu_s=settings.decoding.decode_cpu_s,
        memory_bytes=settings.decoding.decode_memory_bytes,
    )


def _make_fetcher(settings: Settings) -> Fetcher | None:
    return (
        Fetcher(settings.imports.fetch_hosts, timeout_s=settings.imports.fetch_timeout_s)
        if settings.imports.fetch_hosts
        else None
    )
