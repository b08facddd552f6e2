"""Back up, restore and verify the service; export a collection."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Path, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from app.api.deps import CollectionDep, ServicesDep
from app.api.job_answers import accepted
from app.api.schemas.backups import BackupList, BackupShape, MakeBackup, Restore, Verify
from app.api.schemas.common import problems
from app.api.schemas.forms import BYTES
from app.api.schemas.jobs import Job

router = APIRouter(tags=["backups"])

_ACCEPTED: Final[dict[str, Any]] = {"model": Job, "description": "Queued; see Location."}


@router.post(
    "/admin/jobs/backup",
    status_code=202,
    responses={202: _ACCEPTED, **problems(422, 503)},
    tags=["jobs"],
    operation_id="startBackup",
    summary="Make a backup of the service",
)
async def take(request: Request, services: ServicesDep, asked: Annotated[MakeBackup, Body()]) -> JSONResponse:
    """Back up the service at one moment, while writes continue; the job's id is also the backup's id."""
    return accepted(request, await services.service_jobs.backup(copy_pictures=asked.copy_pictures))


@router.post(
    "/admin/jobs/verify",
    status_code=202,
    responses={202: _ACCEPTED, **problems(409, 422, 503)},
    tags=["jobs"],
    operation_id="startVerification",
    summary="Verify the database, the codes and the files",
)
async def verify(request: Request, services: ServicesDep, asked: Annotated[Verify, Body()]) -> JSONResponse:
    """List faults as items of the job, and repair them on request."""
    return accepted(request, await services.service_jobs.verify(repair=asked.repair, deep=asked.deep))


@router.get(
    "/admin/backups",
    responses={200: {"model": BackupList}, **problems(503)},
    operation_id="listBackups",
    summary="List backups",
)
async def list_backups(services: ServicesDep) -> JSONResponse:
    """List backups, newest first."""
    items = [
        BackupShape(
            id=one["id"],
            created_at=one["created_at"],
            pictures=one["pictures"],
            copies_pictures=one["copies_pictures"],
            missing_files=one["missing_files"],
            index_version=one["change"],
        )
        for one in await services.backups.list_all()
    ]
    return JSONResponse(BackupList(items=items).model_dump(mode="json"))


@router.delete(
    "/admin/backups/{backup}",
    status_code=204,
    responses=problems(404, 422, 503),
    operation_id="deleteBackup",
    summary="Delete a backup",
)
async def delete(
    backup: Annotated[str, Path(pattern="^[0-9A-Z]+$", max_length=26)], services: ServicesDep
) -> Response:
    """Delete a backup; pictures that only this backup needed may be deleted later."""
    await services.backups.delete(backup)
    return Response(status_code=204)


@router.post(
    "/admin/restore",
    status_code=202,
    responses={202: _ACCEPTED, **problems(404, 409, 422, 503)},
    operation_id="startRestore",
    summary="Restore a backup",
)
async def restore(request: Request, services: ServicesDep, asked: Annotated[Restore, Body()]) -> JSONResponse:
    """Replace every collection with the backup's; searches use the old state until all of it is restored."""
    return accepted(request, await services.service_jobs.restore(asked.backup))


@router.get(
    "/export",
    responses={
        200: {
            "description": "One line of JSON per picture.",
            "content": {
                "application/x-ndjson": {
                    "schema": BYTES,
                    "example": '{"id": "sku-1", "sha256": "9f…", "code": "a3f1…"}',
                }
            },
        },
        **problems(404, 503),
    },
    response_class=StreamingResponse,
    operation_id="exportCollection",
    summary="Export a collection",
)
async def export(services: ServicesDep, collection: CollectionDep) -> StreamingResponse:
    """Stream every picture of a collection with metadata and code, in insertion order."""
    record = services.index_sync.catalogue.collection(collection).record
    lines = services.export.lines(record.pk, record.model)
    return StreamingResponse(lines, media_type="application/x-ndjson")
