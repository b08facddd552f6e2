"""Answers that show a job, shared by the routers that start or show one."""

from fastapi import Request
from fastapi.responses import JSONResponse

from app.api.deps import key_of
from app.api.middleware.access import signed_resource
from app.api.public_path import public_path
from app.api.schemas.jobs import Job, JobError, JobLinks, JobProgress
from app.bootstrap import ServingServices
from app.services.job_control.jobs import JobView

RETRY_AFTER_S = 1
"""Seconds after which a client may poll a job again."""


def job_shape(request: Request, view: JobView) -> Job:
    """Return a job in its JSON form."""
    record, progress = view.record, view.progress
    place = f"/jobs/{record.id}"
    return Job(
        id=record.id,
        type=record.kind,
        status=record.state,
        requested=record.request,
        collection=record.arguments.get("collection"),
        arguments={name: value for name, value in record.arguments.items() if name != "collection_pk"},
        progress=JobProgress(
            phase=progress.phase,
            done=progress.done,
            total=progress.total,
            percent=progress.percent,
            rate_per_s=round(progress.rate_per_s, 2),
            eta_s=None if progress.eta_s is None else round(progress.eta_s, 1),
        ),
        counts=view.counts,
        result=record.result,
        error=None
        if record.error_code is None
        else JobError(code=record.error_code, detail=record.error_detail or ""),
        created_at=record.created_at,
        started_at=record.started_at,
        updated_at=record.updated_at,
        finished_at=record.finished_at,
        links=JobLinks(
            events=_signed(request, f"{place}/events"),
            items=public_path(request.scope, f"{place}/items"),
            failed_items=public_path(request.scope, f"{place}/items?status=failed"),
        ),
    )


def accepted(request: Request, view: JobView) -> JSONResponse:
    """Answer 202 for a queued job, with ``Location`` and ``Retry-After``."""
    return JSONResponse(
        job_shape(request, view).model_dump(mode="json"),
        202,
        headers={
            "Location": public_path(request.scope, f"/jobs/{view.record.id}"),
            "Retry-After": str(RETRY_AFTER_S),
        },
    )


def _signed(request: Request, path: str) -> str:
    """Return a URL for ``EventSource``, which sends no header; signed when keys are in use."""
    services: ServingServices = request.app.state.services
    key, address = key_of(request), public_path(request.scope, path)
    if key is None:
        return address
    return f"{address}?{services.signer.sign_path(signed_resource(path, 'default'), key)}"
