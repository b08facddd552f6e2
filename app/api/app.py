"""The ASGI application: routers, middleware, and the start and stop of the services."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final

import structlog
from fastapi import Depends, FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Scope

from app.api.forms import FORM, JSON, media_type
from app.api.import_kinds import IMPORTING_PATHS, KIND_OF_MEDIA_TYPE
from app.api.middleware.access import Access
from app.api.middleware.admission import Admission
from app.api.middleware.behind_proxy import BehindProxy, PrefixRedirect
from app.api.middleware.body_limit import BodyLimit, Cap
from app.api.middleware.budgets import Budget
from app.api.middleware.context import RequestContext
from app.api.middleware.failures import Failures
from app.api.middleware.head import HeadAsGet
from app.api.middleware.headers import SafeHeaders
from app.api.middleware.idempotency import IdempotencyKeys
from app.api.middleware.lanes import SEARCHING_POSTS, Lane, path_of
from app.api.middleware.media_types import MediaTypes
from app.api.middleware.options import Options
from app.api.middleware.rate_limit import RateLimit
from app.api.middleware.route_labels import RouteLabels
from app.api.middleware.single_values import SingleValues
from app.api.openapi import install_openapi
from app.api.problems import install_problem_handlers
from app.api.query_parameters import refuse_unknown_parameters
from app.api.routers import page
from app.api.routes import api_routes, routes_of_operations
from app.bootstrap import ServingServices, open_serving
from app.domain.errors import LookalikeError
from app.services.job_control.heartbeats import Heartbeats
from app.settings import Misconfigured, Settings

_log = structlog.get_logger()

FORM_OVERHEAD_BYTES = 1_048_576
"""Bytes that a multipart form may hold besides its files."""

KEY_USES_S: Final = 60.0
"""Interval, in seconds, at which the last use of each key is saved."""

LARGE_JSON_PATHS: Final = (SEARCHING_POSTS - {"/search/batch"}) | IMPORTING_PATHS
"""The operations that, like everything below ``/images/``, accept JSON up to the setting."""

SMALL_JSON_BYTES: Final = 262_144
"""Largest JSON body of every other operation."""

ARRIVING_PER_PLACE: Final = 4
"""Maximum requests of a lane whose bodies are arriving, per request being processed."""

EXPORT_SHARE: Final = 8
"""Searches have this many times the places of exports, because each export reads a collection."""

SEARCH_BYTES: Final = 256_000_000
WRITE_BYTES: Final = 64_000_000
"""Most bytes of bodies of all searches, or of all writes without pictures."""

SLOW_BODY_BYTES_PER_S: Final = 1_000_000
"""Rate below which the body of a search or a write makes room for others when bytes run out."""

SLOWEST_UPLOAD_BYTES_PER_S: Final = 65_536
"""Slowest rate that extends the time limit of a large upload."""

OnReady = Callable[[ServingServices], Awaitable[None]]
OnStop = Callable[[], Awaitable[None]]


def _never() -> bool:
    return False


def create_app(
    settings: Settings,
    *,
    on_ready: OnReady | None = None,
    on_stop: OnStop | None = None,
    is_stopping: Callable[[], bool] = _never,
    require_keys: bool = True,
    load_first: bool = False,
) -> FastAPI:
    """Create the application.

    Args:
        settings: The settings of this process.
        on_ready: Called once every index is loaded.
        on_stop: Called after the last request was answered.
        is_stopping: Returns whether the server is shutting down; event streams then end.
        require_keys: Whether to check keys; False inside a command that opens the database itself.
        load_first: Whether startup waits for the indexes; otherwise requests get 503 until they are loaded.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_serving(settings) as services:
            index_sync = services.index_sync
            async with services.heartbeats() as heartbeats:
                index_sync.standbys.on_change(heartbeats.beat_now)
                services.start_retention(heartbeats.id)
                key_uses = services.supervisor.repeat(
                    "key uses", services.keyring.write_uses, every_s=KEY_USES_S, at_once=False
                )
                app.state.services = services
                app.state.is_stopping = is_stopping
                app.state.event_streams = set()
                if load_first:
                    await services.load()
                    await _begin(services, heartbeats, on_ready)
                    starting = None
                else:
                    # In the background: /healthz answers at once, /readyz once this is done.
                    starting = services.supervisor.run(
                        "start", partial(_begin_when_loaded, app, services, heartbeats, on_ready)
                    )
                try:
                    yield
                finally:
                    if starting is not None:
                        await starting.stop()
                    if on_stop is not None:
                        await on_stop()
                    await key_uses.stop()
                    with contextlib.suppress(LookalikeError):
                        await services.keyring.write_uses()

    app = FastAPI(
        lifespan=lifespan,
        routes=list(api_routes()),
        # Served by install_openapi.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        dependencies=[Depends(refuse_unknown_parameters)],
        # A redirected POST would lose its body in most clients; the 404 names the right path.
        redirect_slashes=False,
    )
    app.state.query_parameters = {}
    page.install_page(app)
    install_openapi(app)
    _check_root_path(app, settings.server.root_path)
    install_problem_handlers(app)
    _install_middleware(app, settings, require_keys=require_keys)
    return app


def _check_root_path(app: FastAPI, root_path: str) -> None:
    """Refuse a prefix that would make a path ambiguous.

    Raises:
        Misconfigured: The prefix starts like a path of the service.
    """
    routes = [*app.routes, *routes_of_operations()]
    own = {"v1", *(path.split("/")[1] for route in routes if (path := getattr(route, "path", None)))}
    first = root_path.split("/")[1] if root_path else None
    if first in own - {""}:
        raise Misconfigured("root_path", root_path, f"/{first} is a path of the service; choose another prefix")


async def _begin_when_loaded(
    app: FastAPI, services: ServingServices, heartbeats: Heartbeats, on_ready: OnReady | None
) -> None:
    if not services.index_sync.catalogue.is_ready:
        await services.index_sync.load_in_background().wait()
    await _begin(services, heartbeats, on_ready)
    # Takes half a second, for which the first 404 or query parameter would otherwise stall everyone.
    await asyncio.to_thread(app.openapi)


async def _begin(services: ServingServices, heartbeats: Heartbeats, on_ready: OnReady | None) -> None:
    """Announce that this process can answer searches."""
    heartbeats.beat_now()
    if on_ready is not None:
        await on_ready(services)


def _install_middleware(app: FastAPI, settings: Settings, *, require_keys: bool) -> None:
    """Add the middleware, innermost first: each layer wraps those added before it."""
    app.add_middleware(IdempotencyKeys)
    app.add_middleware(Admission, budgets=_budgets(settings), drain_bytes=settings.limits.max_drained_bytes)
    # Outside of admission: a body that no lane would ever take must not push out those of others.
    app.add_middleware(
        BodyLimit,
        cap_of=_body_cap(settings),
        timeout_s=settings.server.body_timeout_s,
        bytes_per_extra_s=_extra_time,
        drain_bytes=settings.limits.max_drained_bytes,
    )
    app.add_middleware(MediaTypes, drain_bytes=settings.limits.max_drained_bytes)
    app.add_middleware(Options)
    app.add_middleware(
        RateLimit,
        max_requests=settings.limits.max_requests_per_minute,
        max_decoding_ms=_decoding_ms_per_minute(settings),
        drain_bytes=settings.limits.max_drained_bytes,
    )
    if require_keys:
        app.add_middleware(
            Access,
            unkeyed_loopback=settings.access.unkeyed_loopback and settings.server.listens_on_loopback,
            unkeyed_anywhere=settings.access.insecure,
            trusted=frozenset(settings.access.cors_origins),
        )
    app.add_middleware(SingleValues)
    app.add_middleware(PrefixRedirect)
    app.add_middleware(HeadAsGet)
    app.add_middleware(Failures)
    if settings.access.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.access.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[
                "Authorization",
                "X-API-Key",
                "Content-Type",
                "If-Match",
                "If-None-Match",
                "Idempotency-Key",
                "X-Request-ID",
            ],
            expose_headers=[
                "Allow",
                "Content-Disposition",
                "ETag",
                "Idempotency-Replayed",
                "Location",
                "RateLimit",
                "RateLimit-Policy",
                "Retry-After",
                "Server-Timing",
                "WWW-Authenticate",
                "X-Request-ID",
            ],
            allow_credentials=True,
        )
    app.add_middleware(RequestContext, labels=_route_labels())
    app.add_middleware(
        BehindProxy, root_path=settings.server.root_path, trusted=settings.server.trusted_networks
    )
    app.add_middleware(SafeHeaders, has_foreign_pages=bool(settings.access.cors_origins))


def _route_labels() -> RouteLabels:
    operations = [route.path for route in routes_of_operations()]
    return RouteLabels(["/", "/docs", "/openapi.json", *operations], ["/page", "/docs"])


def _decoding_ms_per_minute(settings: Settings) -> int:
    return round(settings.limits.max_decoding_share * settings.decoding.decode_children * 60_000)


def _budgets(settings: Settings) -> dict[Lane, Budget]:
    def budget(max_bytes: int, slow_bytes_per_s: int, *, share: int = 1) -> Budget:
        most = max(1, settings.limits.max_requests_in_flight // share)
        return Budget(
            max_requests=most,
            max_per_caller=max(1, settings.limits.max_requests_in_flight_per_caller // share),
            max_arriving=ARRIVING_PER_PLACE * most,
            max_bytes=max_bytes,
            slow_bytes_per_s=slow_bytes_per_s,
        )

    return {
        Lane.SEARCH: budget(SEARCH_BYTES, SLOW_BODY_BYTES_PER_S),
        Lane.EXPORT: budget(SEARCH_BYTES, SLOW_BODY_BYTES_PER_S, share=EXPORT_SHARE),
        Lane.WRITE: budget(WRITE_BYTES, SLOW_BODY_BYTES_PER_S),
        # Uploaded bodies are spooled to disk.
        Lane.UPLOAD: budget(2 * settings.imports.max_archive_bytes, SLOWEST_UPLOAD_BYTES_PER_S),
    }


def _extra_time(scope: Scope) -> int | None:
    return SLOWEST_UPLOAD_BYTES_PER_S if path_of(scope) in IMPORTING_PATHS else None


def _body_cap(settings: Settings) -> Callable[[Scope], Cap]:
    """Return a function that gives the size limit of a body from its request's head."""
    json = Cap(settings.limits.max_json_bytes, "request_too_large", "max_json_bytes")
    small_json = min(json, Cap(SMALL_JSON_BYTES, "request_too_large", None), key=lambda cap: cap.max_bytes)
    one_picture = Cap(
        settings.limits.max_upload_bytes + FORM_OVERHEAD_BYTES, "image_too_large", "max_upload_bytes"
    )
    two_pictures = one_picture._replace(max_bytes=2 * settings.limits.max_upload_bytes + FORM_OVERHEAD_BYTES)
    many_pictures = settings.limits.max_upload_bytes * settings.limits.max_files_per_request
    import_bytes = max(many_pictures, settings.imports.max_archive_bytes) + FORM_OVERHEAD_BYTES
    imports = Cap(import_bytes, "image_too_large", "max_archive_bytes")

    def cap_of(scope: Scope) -> Cap:
        path = path_of(scope)
        kind = media_type(Headers(scope=scope))
        if path in IMPORTING_PATHS:
            return imports if kind == FORM or kind in KIND_OF_MEDIA_TYPE else json
        if scope["method"] == "PUT" and path.startswith("/images/"):
            return json if kind == JSON else one_picture
        if kind == FORM and path == "/search":
            return one_picture
        if kind == FORM and path == "/compare":
            return two_pictures
        return json if path in LARGE_JSON_PATHS or path.startswith("/images/") else small_json

    return cap_of
