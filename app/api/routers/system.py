"""Probes, service information, metrics and the page's session."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from app import __version__
from app.api.deps import CallerDep, ServicesDep, key_of
from app.api.middleware.access import SESSION_COOKIE, session_of
from app.api.public_path import public_path
from app.api.schemas.common import problems
from app.api.schemas.system import (
    CollectionInfo,
    Health,
    Info,
    ProcessShape,
    Readiness,
    RoomShape,
    Starting,
    SystemShape,
)
from app.bootstrap import ServingServices
from app.domain.access import Scope
from app.domain.collections import IndexKind
from app.domain.errors import Forbidden, IndexNotReady, Unauthenticated
from app.images.formats import ACCEPTED_MEDIA_TYPES
from app.telemetry.process import resident_bytes

router = APIRouter(tags=["service"])


@router.get("/healthz", responses={200: {"model": Health}}, operation_id="getHealth", summary="Liveness probe")
async def health() -> Health:
    """Answer 200 while the process runs."""
    return Health(status="ok")


@router.get(
    "/readyz",
    responses={200: {"model": Readiness}, **problems(503)},
    operation_id="getReadiness",
    summary="Readiness probe",
)
async def ready(services: ServicesDep) -> Readiness:
    """Answer 200 once every index is loaded and up to date, otherwise 503 with the reason."""
    reason = services.not_ready_reason
    if reason is not None:
        raise IndexNotReady(reason)
    return Readiness(status="ready", index_version=services.index_sync.catalogue.version)


@router.get(
    "/info",
    responses={200: {"model": Info}, **problems(503)},
    operation_id="getInfo",
    summary="Describe the service",
)
async def info(request: Request, services: ServicesDep, caller: CallerDep) -> Info:
    """Return version, collections, models, memory and limits."""
    settings, key = services.settings, key_of(request)
    served = services.index_sync.catalogue.collections()
    collections = [live for live in served if caller.may_use(live.record.name)]
    views = {c.record.name: c.index.view() for c in collections}
    return Info(
        version=__version__,
        model=settings.models.default_model,
        collections=[
            CollectionInfo(
                name=c.record.name,
                model=c.record.model,
                bits=c.index.bits,
                images=views[c.record.name].count,
            )
            for c in collections
        ],
        images=sum(view.count for view in views.values()),
        index_version=services.index_sync.catalogue.version,
        index_bytes=sum(c.index_bytes for c in collections),
        memory_bytes=resident_bytes() if caller.is_operator else None,
        limits={
            "max_upload_bytes": settings.limits.max_upload_bytes,
            "max_files_per_request": settings.limits.max_files_per_request,
            "max_pixels": settings.decoding.max_pixels,
            "max_scans": settings.decoding.max_scans,
        },
        formats=list(ACCEPTED_MEDIA_TYPES),
        indexes=[IndexKind.LOCAL, *([] if services.engine is None else [IndexKind.CLICKHOUSE])],
        keys_required=services.keyring.in_use,
        scope=Scope.ADMIN if key is None else key.scope,
        starting=_starting(services),
    )


def _starting(services: ServingServices) -> Starting | None:
    if not services.index_sync.catalogue.is_ready:
        return Starting(phase="loading", done=None, total=None, detail=services.not_ready_reason)
    progress = services.sample_gallery.progress
    if progress is None:
        return None
    return Starting(phase="samples", done=progress.done, total=progress.total, detail=None)


@router.get(
    "/admin/system",
    responses={200: {"model": SystemShape}, **problems(503)},
    operation_id="getSystem",
    summary="Measure the machine",
)
async def system(services: ServicesDep) -> SystemShape:
    """Return free memory and disk, room for more pictures, the time of a search, and the live processes."""
    machine = await services.capacity.measure()
    return SystemShape(
        free_memory_bytes=machine.free_memory_bytes,
        free_disk_bytes=machine.free_disk_bytes,
        processes=[
            ProcessShape(
                kind=process.kind,
                host=process.host,
                pid=process.pid,
                started_at=process.started_at,
                heartbeat_at=process.heartbeat_at,
                training_lacks=process.training_lacks,
            )
            for process in machine.processes
        ],
        room=[
            RoomShape(
                collection=room.collection,
                pictures=room.pictures,
                by_memory=room.by_memory,
                by_disk=room.by_disk,
                index_bytes_per_picture=room.index_bytes_per_picture,
                stored_bytes_per_picture=round(room.stored_bytes_per_picture, 1),
                search_ms=None if room.search_ms is None else round(room.search_ms, 3),
            )
            for room in machine.room
        ],
    )


@router.get(
    "/metrics",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The metrics."}},
    operation_id="getMetrics",
    summary="Prometheus metrics",
    response_class=Response,
)
async def metrics(services: ServicesDep, caller: CallerDep) -> Response:
    """Return every metric in the Prometheus text format."""
    if caller.collections is not None:
        raise Forbidden("metrics concern the whole service, and this key is bound to collections")
    return Response(await services.metrics.text(), media_type=CONTENT_TYPE_LATEST)


@router.post(
    "/session", status_code=204, responses=problems(), operation_id="openSession", summary="Open a session"
)
async def open_session(request: Request, services: ServicesDep) -> Response:
    """Exchange the key in the header for an HttpOnly cookie that expires."""
    key = key_of(request)
    if key is None and services.keyring.in_use:
        raise Unauthenticated
    answer = Response(status_code=204)
    if key is not None:
        answer.set_cookie(
            SESSION_COOKIE,
            services.signer.seal_session(key),
            max_age=services.signer.session_lifetime_s,
            httponly=True,
            samesite="strict",
            secure=request.scope["scheme"] == "https",
            path=_cookie_path(request),
        )
    return answer


@router.delete(
    "/session",
    status_code=204,
    responses=problems(503),
    operation_id="closeSession",
    summary="Close the session",
)
async def close_session(request: Request, services: ServicesDep) -> Response:
    """End the session: its cookie is deleted, and copies of the cookie are refused within a second."""
    session = session_of(request.headers, services.keyring, services.signer)
    if session is not None:
        await services.keys.end_session(session)
    answer = Response(status_code=204)
    answer.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict", path=_cookie_path(request))
    return answer


def _cookie_path(request: Request) -> str:
    return public_path(request.scope, "") or "/"
