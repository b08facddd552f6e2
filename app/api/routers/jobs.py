"""``/jobs``: list, follow, cancel, pause and retry jobs; list the outcomes of their items."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse

from app.api.deps import CallerDep, CursorQuery, LimitQuery, ServicesDep, caller_of, key_of
from app.api.job_answers import accepted, job_shape
from app.api.schemas.common import problems
from app.api.schemas.jobs import JOB_EXAMPLE, Job, JobError, JobItem, JobItemList, JobList
from app.bootstrap import ServingServices
from app.domain.errors import DatabaseUnavailable, Overloaded, UnknownJob
from app.domain.jobs import ItemStatus, JobKind, JobState
from app.services.job_control.jobs import JobView

router = APIRouter(tags=["jobs"])

MAX_FOLLOWERS: Final = 64
"""Maximum number of open event streams; each reads the database twice a second."""
LOOKS_PER_COMMENT: Final = 30
"""Number of polls without a change after which a comment keeps proxies from closing the stream."""

_JOB: Final[dict[str, Any]] = {"model": Job, "description": "The job."}
_ACCEPTED: Final[dict[str, Any]] = {"model": Job, "description": "Requested; see Location."}


@router.get(
    "/jobs",
    responses={200: {"model": JobList}, **problems(404, 422, 503)},
    operation_id="listJobs",
    summary="List jobs",
)
async def list_jobs(
    request: Request,
    services: ServicesDep,
    caller: CallerDep,
    kind: Annotated[JobKind | None, Query(alias="type", description="Only jobs of this type")] = None,
    status: Annotated[JobState | None, Query(description="Only jobs in this state")] = None,
    collection: Annotated[str | None, Query(description="Only jobs on this collection")] = None,
    limit: LimitQuery = 100,
    cursor: CursorQuery = None,
) -> JSONResponse:
    """List jobs, newest first; old finished jobs are pruned."""
    if collection is not None:
        caller.check_collection(collection)
    listing = f"jobs {kind} {status} {collection}"
    before = services.signer.open_list_cursor(listing, cursor)
    views, following = await services.jobs.page(
        before_id=before, limit=limit, kind=kind, state=status, collection=collection, only=caller.collections
    )
    body = JobList(
        items=[job_shape(request, view) for view in views],
        next_cursor=None if following is None else services.signer.seal_list_cursor(listing, following),
    )
    return JSONResponse(body.model_dump(mode="json"))


@router.get(
    "/jobs/{job_id}", responses={200: _JOB, **problems(404, 503)}, operation_id="getJob", summary="Read a job"
)
async def read(job_id: str, request: Request, services: ServicesDep) -> JSONResponse:
    """One job: its state, its progress, and the outcomes of its items so far.

    Once the job is over, the next search finds everything that it has added.
    """
    view = await _visible(request, services, job_id)
    if view.is_over:
        await services.index_sync.follower.catch_up_to_latest()
    return JSONResponse(job_shape(request, view).model_dump(mode="json"))


@router.get(
    "/jobs/{job_id}/items",
    responses={200: {"model": JobItemList}, **problems(404, 422, 503)},
    operation_id="listJobItems",
    summary="List the outcomes of a job's items",
)
async def items(
    job_id: str,
    request: Request,
    services: ServicesDep,
    status: Annotated[ItemStatus | None, Query(description="Only items with this outcome")] = None,
    limit: LimitQuery = 100,
    cursor: CursorQuery = None,
) -> JSONResponse:
    """List outcomes in source order; ``status=failed`` lists only failures with their reasons."""
    await _visible(request, services, job_id)
    listing = f"items {job_id} {status}"
    after = services.signer.open_list_cursor(listing, cursor)
    found, following = await services.jobs.items(
        job_id, status=status, after=-1 if after is None else after, limit=limit
    )
    body = JobItemList(
        items=[
            JobItem(
                position=item.position,
                status=item.status,
                name=item.name,
                id=item.image_id,
                error=None
                if item.error_code is None
                else JobError(code=item.error_code, detail=item.error_detail or ""),
            )
            for item in found
        ],
        next_cursor=None if following is None else services.signer.seal_list_cursor(listing, following),
    )
    return JSONResponse(body.model_dump(mode="json"))


@router.post(
    "/jobs/{job_id}/cancel",
    status_code=202,
    responses={202: _ACCEPTED, **problems(404, 409, 503)},
    operation_id="cancelJob",
    summary="Cancel a job",
)
async def cancel(job_id: str, request: Request, services: ServicesDep) -> JSONResponse:
    """Stop a job after its current batches; what it has written stays."""
    await _visible(request, services, job_id)
    return accepted(request, await services.jobs.cancel(job_id))


@router.post(
    "/jobs/{job_id}/pause",
    status_code=202,
    responses={202: _ACCEPTED, **problems(404, 409, 503)},
    operation_id="pauseJob",
    summary="Pause a job",
)
async def pause(job_id: str, request: Request, services: ServicesDep) -> JSONResponse:
    """Pause a job after its current batches."""
    return accepted(request, await services.jobs.pause(job_id))


@router.post(
    "/jobs/{job_id}/resume",
    status_code=202,
    responses={202: _ACCEPTED, **problems(404, 409, 503)},
    operation_id="resumeJob",
    summary="Resume a paused job",
)
async def resume(job_id: str, request: Request, services: ServicesDep) -> JSONResponse:
    """Continue a paused job from its checkpoint."""
    return accepted(request, await services.jobs.resume(job_id))


@router.post(
    "/jobs/{job_id}/retry",
    status_code=202,
    responses={202: _ACCEPTED, **problems(404, 409, 503)},
    operation_id="retryJob",
    summary="Retry a job's failures",
)
async def retry(job_id: str, request: Request, services: ServicesDep) -> JSONResponse:
    """Queue a finished job again, for its unfinished parts and failed items only."""
    return accepted(request, await services.jobs.retry(job_id))


@router.get(
    "/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "An event `progress` whenever the job has changed, and `end` when it is over; each "
            "has the job as its data.",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": f"event: progress\ndata: {json.dumps(JOB_EXAMPLE, separators=(',', ':'))}\n\n",
                }
            },
        },
        **problems(404, 503),
    },
    operation_id="streamJobEvents",
    summary="Stream a job's progress",
)
async def events(job_id: str, request: Request, services: ServicesDep) -> StreamingResponse:
    """Stream server-sent events until the job is over; for ``EventSource`` and ``curl -N``."""
    await _visible(request, services, job_id)  # 404 before the stream begins
    if len(request.app.state.event_streams) >= MAX_FOLLOWERS:
        raise Overloaded("too many event streams are open")
    return StreamingResponse(
        _stream(request, services, job_id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _visible(request: Request, services: ServingServices, job_id: str) -> JobView:
    """Return a job that the caller may see.

    Raises:
        UnknownJob: There is no such job, or it concerns a collection that the caller may not use.
    """
    view = await services.jobs.get(job_id)
    if not caller_of(request).may_use(view.record.arguments.get("collection")):
        raise UnknownJob(f"there is no job {job_id!r}")
    return view


async def _stream(request: Request, services: ServingServices, job_id: str) -> AsyncIterator[str]:
    open_streams: set[object] = request.app.state.event_streams
    this, key = object(), key_of(request)
    open_streams.add(this)
    quiet = 0
    try:
        yield "retry: 1000\n\n"
        async for view in services.jobs.follow(job_id):
            if request.app.state.is_stopping() or await request.is_disconnected():
                return
            with contextlib.suppress(DatabaseUnavailable):
                await services.keyring.refresh()
            if key is not None and services.keyring.by_id(key.id) is None:
                return  # revoked or expired since
            quiet = 0 if view is not None else quiet + 1
            if view is not None:
                if view.is_over:
                    await services.index_sync.follower.catch_up_to_latest()
                name = "end" if view.is_over else "progress"
                yield f"event: {name}\ndata: {job_shape(request, view).model_dump_json()}\n\n"
            elif quiet % LOOKS_PER_COMMENT == 0:
                yield ": still here\n\n"
    except UnknownJob:
        return  # pruned while it was followed
    finally:
        open_streams.discard(this)
