"""Composition root: settings become a database, a picture store, encoders, indexes and services."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from app.encoding.batching import MicroBatcher
from app.encoding.encoder import OnnxEncoder
from app.images.decode import Decoder
from app.images.entries import ArchiveLimits
from app.images.fetch import Fetcher
from app.images.folders import check_writable, make_writable
from app.images.objects import Objects, ObstoreObjects
from app.images.picture_sources import PictureSources
from app.images.put_journal import PutJournal
from app.images.sniff import Limits
from app.images.staging import Staging
from app.images.storage import ObstorePictureStore, PictureStore
from app.services.access.idempotency import Idempotency
from app.services.access.keys import Keyring, Keys
from app.services.access.signing import Signer
from app.services.importing.imports import Imports
from app.services.importing.planning import ImportPlanner
from app.services.index_sync.index_files import IndexFiles
from app.services.index_sync.index_sync import IndexSync
from app.services.index_sync.snapshots import Snapshots
from app.services.job_control.jobs import Jobs
from app.services.model_life.activation import Activation
from app.services.model_life.comparison import ModelComparison
from app.services.model_life.jobs import ModelJobs
from app.services.model_life.reencoding import Reencoding
from app.services.model_registry.models import Models
from app.services.model_registry.publication import ArtifactStore
from app.services.operations.backups import Backups
from app.services.operations.chores import Chores
from app.services.operations.retention import Retention
from app.services.operations.service_jobs import ServiceJobs
from app.services.operations.sweeping import Sweeper
from app.services.pictures.adding import AddImages
from app.services.pictures.coding import PictureCoder
from app.services.pictures.collections import Collections
from app.services.pictures.images import Images
from app.services.pictures.preparing import Preparation
from app.services.searching.batch import BatchSearch
from app.services.searching.comparison import Compare
from app.services.searching.duplicates import Duplicates
from app.services.searching.query_fetching import QueryFetcher
from app.services.searching.search import Search
from app.services.supervision import Supervisor
from app.settings import Settings
from app.store.connections import sqlite_file
from app.store.engine import Database
from app.store.migrate import upgrade

RETENTION_S: Final = 60.0
"""Between two looks for what has served its time, where nothing is known to be due sooner."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that an entry point may call."""

    settings: Settings
    database: Database
    supervisor: Supervisor
    pictures: PictureStore
    objects: Objects
    journal: PutJournal
    models: Models
    index_sync: IndexSync
    search: Search
    batch_search: BatchSearch
    compare: Compare
    duplicates: Duplicates
    preparation: Preparation
    add_images: AddImages
    images: Images
    collections: Collections
    keys: Keys
    keyring: Keyring
    signer: Signer
    sweeper: Sweeper
    idempotency: Idempotency
    jobs: Jobs
    picture_sources: PictureSources
    imports: Imports
    import_planner: ImportPlanner
    model_jobs: ModelJobs
    reencoding: Reencoding
    backups: Backups
    index_files: IndexFiles
    service_jobs: ServiceJobs
    activation: Activation
    model_comparison: ModelComparison

    def start_retention(self, process_id: str) -> None:
        """Begin to remove what has served its time, in the background."""
        chores = Chores(
            self.database,
            self.sweeper,
            self.imports,
            self.backups,
            self.objects,
            self.journal,
            sweep_interval_s=self.settings.sweep_interval_s,
            job_retention=timedelta(days=self.settings.job_retention_days),
        )
        retention = Retention(self.database, chores.all(), process_id=process_id)
        self.supervisor.repeat("retention", retention.turn, every_s=RETENTION_S)

    async def load(self) -> None:
        """Load every index; searches answer 503 until this returns."""
        await self.index_sync.start()


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """The database alone, migrated.

    Raises:
        FolderNotWritable: A folder that the service needs cannot be written to.
        SchemaTooNew: It was migrated by a newer version.
        DatabaseUnavailable: It does not answer.
    """
    make_folders(settings)
    await asyncio.to_thread(upgrade, settings.resolved_database_url, settings.migrations_dir)
    database = Database.open(
        settings.resolved_database_url,
        sqlite_synchronous=settings.sqlite_synchronous,
        busy_timeout_s=settings.busy_timeout_s,
        idle_in_transaction_timeout_s=settings.idle_in_transaction_timeout_s,
    )
    try:
        yield database
    finally:
        await database.close()


async def active_key_exists(settings: Settings) -> bool:
    """Whether callers will need a key: one is valid, or the bootstrap key is about to be made."""
    if settings.read_bootstrap_admin_key() is not None:
        return True
    async with open_database(settings) as database:
        return any(key.revoked_at is None for key in await Keys(database).list())


@asynccontextmanager
async def bootstrap(settings: Settings, *, pictures: PictureStore | None = None) -> AsyncIterator[Services]:
    """Open everything that ``settings`` names, and close it again at the end.

    The database is migrated, shipped models are registered and the default collection exists when this
    yields; indexes are loaded by ``Services.load``.

    Args:
        settings: The settings.
        pictures: A picture store to use instead of the one that the settings name.

    Raises:
        FolderNotWritable: A folder that the service needs cannot be written to.
        SchemaTooNew: The database was migrated by a newer version.
        DatabaseUnavailable: The database does not answer.
    """
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings))
        objects = ObstoreObjects(settings.resolved_pictures_url)
        coder = PictureCoder(_make_decoder(settings), decode_threads=settings.decode_children)
        stack.push_async_callback(asyncio.to_thread, coder.close)
        models = make_models(settings, database, objects)
        stack.push_async_callback(models.close)
        await models.register_shipped()
        snapshots = Snapshots(settings.resolved_snapshots_dir if settings.keep_snapshots else None)
        supervisor = Supervisor()
        index_sync = IndexSync(
            database,
            supervisor,
            models,
            snapshots,
            poll_interval_s=settings.poll_interval_s,
            snapshot_interval_s=settings.snapshot_interval_s,
            scan_threads=settings.scan_threads,
        )
        stack.push_async_callback(index_sync.close)
        stack.push_async_callback(supervisor.close)
        catalogue, follower = index_sync.catalogue, index_sync.follower
        store = pictures or ObstorePictureStore(settings.resolved_pictures_url)
        fetcher = _make_fetcher(settings)
        jobs, picture_sources = Jobs(database), _make_sources(settings, fetcher)
        staging = Staging(settings.resolved_pictures_url)
        journal = PutJournal(settings.data_dir / "journal", rotate_s=settings.orphan_grace_s)
        stack.callback(journal.close)
        preparation = Preparation(database, store, models, coder, journal)
        if fetcher is not None:
            stack.callback(fetcher.close)
        query_fetcher = QueryFetcher(fetcher, settings.max_upload_bytes)
        search = Search(database, catalogue, index_sync.filters, follower, models, coder, query_fetcher)
        backups = Backups(database, objects, store, settings.data_dir / "spool")
        reencoding = Reencoding(
            database, store, models, coder, picture_sources, max_bytes=settings.max_upload_bytes
        )
        services = Services(
            settings=settings,
            database=database,
            supervisor=supervisor,
            pictures=store,
            objects=objects,
            journal=journal,
            models=models,
            index_sync=index_sync,
            search=search,
            batch_search=BatchSearch(database, catalogue, search),
            compare=Compare(database, catalogue, models, coder),
            duplicates=Duplicates(database, catalogue, index_sync.filters, follower, models),
            preparation=preparation,
            add_images=AddImages(database, catalogue, follower, preparation),
            images=Images(database, store, catalogue, follower, coder),
            collections=Collections(
                database,
                catalogue,
                follower,
                models,
                picture_sources,
                default_model=settings.default_model,
            ),
            keys=Keys(database),
            keyring=Keyring(database, follower),
            signer=await _make_signer(database, settings),
            idempotency=Idempotency(database),
            jobs=jobs,
            picture_sources=picture_sources,
            imports=Imports(
                jobs,
                staging,
                picture_sources,
                uploads_dir=settings.data_dir / "uploads",
                max_upload_bytes=settings.max_archive_bytes,
                retention=timedelta(hours=settings.upload_retention_hours),
            ),
            import_planner=ImportPlanner(
                staging, picture_sources, _archive_limits(settings), scratch_dir=settings.data_dir / "uploads"
            ),
            model_jobs=ModelJobs(database, models, jobs, picture_sources),
            reencoding=reencoding,
            backups=backups,
            index_files=IndexFiles(database, snapshots),
            service_jobs=ServiceJobs(jobs, backups),
            activation=Activation(
                database, models, follower, reencoding, timeout_s=settings.activation_timeout_s
            ),
            model_comparison=ModelComparison(database, models, catalogue),
            sweeper=Sweeper(database, store, grace_s=settings.orphan_grace_s),
        )
        await services.collections.ensure_default()
        bootstrap_key = settings.read_bootstrap_admin_key()
        if bootstrap_key is not None:
            await services.keys.ensure_bootstrap(bootstrap_key)
        yield services


def make_models(settings: Settings, database: Database, objects: Objects) -> Models:
    """The models that a database knows, their encoders set up as the settings say."""
    return Models(
        database,
        settings.artifacts_dir,
        ArtifactStore(objects, settings.data_dir / "models"),
        make_encoder=lambda artifact: OnnxEncoder(artifact, threads=settings.encoder_threads),
        make_batcher=lambda encoder: MicroBatcher(
            encoder, max_batch=settings.max_batch, max_waiting=settings.max_requests_in_flight * 32
        ),
    )


def make_folders(settings: Settings) -> None:
    """Make the folders that the database and the pictures need, so that a first start needs no preparation.

    Raises:
        FolderNotWritable: One cannot be made or written to.
    """
    make_writable(settings.data_dir)
    url = urlsplit(settings.resolved_pictures_url)
    if url.scheme == "file":
        make_writable(Path(url2pathname(url.path)))
    database = sqlite_file(settings.resolved_database_url)
    if database is not None:
        check_writable(database)


def _make_decoder(settings: Settings) -> Decoder:
    limits = Limits(
        max_bytes=settings.max_upload_bytes, max_pixels=settings.max_pixels, max_scans=settings.max_scans
    )
    return Decoder(limits, children=settings.decode_children, timeout_s=settings.decode_timeout_s)


def _make_fetcher(settings: Settings) -> Fetcher | None:
    return Fetcher(settings.fetch_hosts, timeout_s=settings.fetch_timeout_s) if settings.fetch_hosts else None


def _make_sources(settings: Settings, fetcher: Fetcher | None) -> PictureSources:
    return PictureSources(settings.import_root, settings.import_prefixes, fetcher)


def _archive_limits(settings: Settings) -> ArchiveLimits:
    return ArchiveLimits(
        max_entries=settings.max_archive_entries, max_unpacked_bytes=settings.max_archive_unpacked_bytes
    )


async def _make_signer(database: Database, settings: Settings) -> Signer:
    async with database.read() as unit:
        secret = await unit.secrets.get("signing")
    if secret is None:
        async with database.write() as writing:
            secret = await writing.secrets.get_or_create("signing")
    return Signer(
        secret,
        signature_lifetime_s=settings.signature_lifetime_s,
        session_lifetime_s=settings.session_lifetime_s,
    )
