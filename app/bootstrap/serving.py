"""The services behind the HTTP API."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from app import __version__
from app.bootstrap.shared import MakeEncoder, SharedServices, open_shared
from app.images.storage import PictureStore
from app.services.access.guesses import KeyGuesses
from app.services.access.idempotency import Idempotency
from app.services.access.keyring import Keyring
from app.services.access.keys import Keys
from app.services.access.rates import RateLimits
from app.services.access.signing import Signer
from app.services.index_sync.index_sync import IndexSync
from app.services.job_control.heartbeats import Heartbeats
from app.services.model_life.activation import Activation
from app.services.model_life.comparison import ModelComparison
from app.services.model_life.jobs import ModelJobs
from app.services.operations.capacity import Capacity
from app.services.operations.export import Export
from app.services.operations.service_jobs import ServiceJobs
from app.services.operations.service_metrics import ServiceMetrics
from app.services.operations.storage_watch import LOOK_EVERY_S, StorageWatch
from app.services.pictures.adding import AddImages
from app.services.pictures.collections import Collections
from app.services.pictures.images import Images
from app.services.pictures.metadata_keys import MetadataKeys
from app.services.pictures.near_duplicates import NearDuplicates
from app.services.pictures.sample_gallery import SampleGallery
from app.services.searching.batch import BatchSearch
from app.services.searching.comparison import Compare
from app.services.searching.distances import Distances
from app.services.searching.duplicates import Duplicates
from app.services.searching.labels import LabelExport
from app.services.searching.learned_words import LearnedWords
from app.services.searching.query_fetching import QueryFetcher
from app.services.searching.search import Search
from app.services.searching.suggestions import Suggestions
from app.services.searching.text_towers import TextTowers
from app.services.searching.texts import Texts
from app.services.searching.verdicts import Verdicts
from app.settings import Misconfigured, Settings
from app.store.engine import Database
from app.telemetry.process import UPDATE_S


@dataclass(frozen=True, slots=True)
class ServingServices(SharedServices):
    """What the HTTP API and local commands use."""

    index_sync: IndexSync
    search: Search
    suggestions: Suggestions
    labels: LabelExport
    learned_words: LearnedWords
    batch_search: BatchSearch
    compare: Compare
    duplicates: Duplicates
    verdicts: Verdicts
    distances: Distances
    add_images: AddImages
    images: Images
    metadata_keys: MetadataKeys
    sample_gallery: SampleGallery
    capacity: Capacity
    collections: Collections
    keys: Keys
    keyring: Keyring
    signer: Signer
    idempotency: Idempotency
    rates: RateLimits
    key_guesses: KeyGuesses
    model_jobs: ModelJobs
    activation: Activation
    model_comparison: ModelComparison
    service_jobs: ServiceJobs
    export: Export
    storage_watch: StorageWatch
    metrics: ServiceMetrics

    @property
    def not_ready_reason(self) -> str | None:
        """Why requests cannot be answered as promised; None if the service is ready."""
        return _not_ready_reason(self.index_sync, self.storage_watch)

    async def load(self) -> None:
        """Load every index; searches are refused with 503 until this returns."""
        await self.index_sync.start()

    def heartbeats(self) -> Heartbeats:
        """Return the heartbeats of this process, which report the state of its indexes."""
        return Heartbeats(
            self.database,
            self.supervisor,
            "api",
            reached_change=self.index_sync.reached_change,
            model_reports=self.index_sync.standbys.reports,
        )


@asynccontextmanager
async def open_serving(
    settings: Settings, *, pictures: PictureStore | None = None, make_encoder: MakeEncoder | None = None
) -> AsyncIterator[ServingServices]:
    """Open what the API needs, and close it at the end.

    The default collection exists when this yields; ``ServingServices.load`` loads the indexes.

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
    async with AsyncExitStack() as stack:
        shared = await stack.enter_async_context(
            open_shared(settings, pictures=pictures, make_encoder=make_encoder)
        )
        index_sync = IndexSync(
            shared.database,
            shared.supervisor,
            shared.models,
            shared.snapshots,
            poll_interval_s=settings.search.poll_interval_s,
            snapshot_interval_s=settings.search.snapshot_interval_s,
            scan_threads=settings.search.scan_threads,
            descriptor_bytes=settings.search.descriptor_memory_bytes,
            connection=shared.engine,
        )
        stack.push_async_callback(index_sync.close)
        stack.push_async_callback(shared.supervisor.close)
        rates = _make_rates(settings)
        stack.push_async_callback(rates.close)
        services = await _services(shared, index_sync, rates)
        await services.collections.ensure_default()
        bootstrap_key = settings.access.read_bootstrap_admin_key()
        if bootstrap_key is not None:
            await Keys(shared.database).ensure_bootstrap(bootstrap_key)
        watch = services.storage_watch
        shared.supervisor.repeat("storage watch", watch.look, every_s=LOOK_EVERY_S)
        shared.supervisor.repeat("process metrics", services.metrics.process.update, every_s=UPDATE_S)
        yield services


async def _services(shared: SharedServices, index_sync: IndexSync, rates: RateLimits) -> ServingServices:
    settings, database, models = shared.settings, shared.database, shared.models
    catalogue, follower, filters = index_sync.catalogue, index_sync.follower, index_sync.filters
    query_fetcher = QueryFetcher(shared.fetcher, settings.limits.max_upload_bytes)
    keyring = Keyring(database, follower)
    texts = Texts(models, database, TextTowers(threads=shared.settings.models.encoder_threads))
    suggestions = Suggestions(database, catalogue, follower, texts)
    search = Search(database, catalogue, filters, follower, models, shared.coder, query_fetcher, texts)
    add_images = AddImages(database, catalogue, follower, shared.preparation, NearDuplicates(database, models))
    images = Images(
        database,
        shared.pictures,
        catalogue,
        follower,
        shared.coder,
        serves_positions=settings.access.serve_positions,
    )
    watch = StorageWatch(database, shared.objects)
    return ServingServices(
        **shared.as_fields(),
        index_sync=index_sync,
        search=search,
        suggestions=suggestions,
        labels=LabelExport(database, catalogue, suggestions),
        learned_words=LearnedWords(database, catalogue),
        batch_search=BatchSearch(database, catalogue, search, texts),
        compare=Compare(database, catalogue, models, shared.coder),
        duplicates=Duplicates(database, catalogue, filters, follower, models),
        verdicts=Verdicts(database, catalogue),
        distances=Distances(catalogue, filters, follower),
        add_images=add_images,
        images=images,
        metadata_keys=MetadataKeys(database, catalogue),
        sample_gallery=SampleGallery(add_images, images, catalogue, settings.storage.data_dir),
        capacity=Capacity(database, catalogue, settings.storage.data_dir),
        collections=Collections(
            database,
            catalogue,
            follower,
            models,
            shared.picture_sources,
            default_model=settings.models.default_model,
            engine=None if shared.engine is None else index_sync.remote,
        ),
        keys=Keys(database, changed=keyring.mark_stale),
        keyring=keyring,
        signer=await _make_signer(database, settings),
        idempotency=Idempotency(database),
        rates=rates,
        key_guesses=KeyGuesses(rates, max_per_minute=settings.limits.max_wrong_keys_per_minute),
        model_jobs=ModelJobs(database, models, shared.jobs, shared.picture_sources),
        activation=Activation(
            database, models, follower, shared.reencoding, timeout_s=settings.models.activation_timeout_s
        ),
        model_comparison=ModelComparison(database, models, catalogue),
        service_jobs=ServiceJobs(shared.jobs, shared.backups),
        export=Export(database),
        storage_watch=watch,
        metrics=ServiceMetrics(
            database,
            settings.storage.data_dir,
            version=__version__,
            index_version=lambda: catalogue.version,
            collections=catalogue.gauges,
            not_ready_reason=lambda: _not_ready_reason(index_sync, watch),
        ),
    )


def _not_ready_reason(index_sync: IndexSync, watch: StorageWatch) -> str | None:
    return index_sync.not_ready_reason or watch.fault


async def _make_signer(database: Database, settings: Settings) -> Signer:
    async with database.read() as unit:
        secret = await unit.secrets.get("signing")
    if secret is None:
        async with database.write() as writing:
            secret = await writing.secrets.get_or_create("signing")
    return Signer(
        secret,
        signature_lifetime_s=settings.access.signature_lifetime_s,
        session_lifetime_s=settings.access.session_lifetime_s,
    )


def _make_rates(settings: Settings) -> RateLimits:
    try:
        return RateLimits(settings.limits.rate_limit_store)
    except ValueError as error:
        raise Misconfigured(
            "rate_limit_store",
            settings.limits.rate_limit_store,
            "name memory:// or redis://host:port, and install lookalike[redis] for the latter",
        ) from error
