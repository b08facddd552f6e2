"""``/admin/jobs/…``: start jobs of each kind."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.api.deps import ServicesDep
from app.api.forms import media_type, read_form
from app.api.import_kinds import KIND_OF_MEDIA_TYPE
from app.api.schemas.common import problems
from app.api.schemas.forms import json_body
from app.api.schemas.jobs import Job
from app.api.uploads import (
    IMPORT_EXAMPLES,
    IMPORT_FILES,
    import_body,
    import_form,
)

router = APIRouter(prefix="/admin/jobs", tags=["jobs"])


@router.post(
    "/index",
    status_code=202,
    operation_id="startImport",
    summary="Import pictures",
    openapi_extra=json_body("ImportRequest", IMPORT_EXAMPLES),
    responses={
        202: {"model": Job, "description": "A job imports the pictures; see Location."},
        **problems(400, 404, 413, 415, 422, 503, 507),
    },
)
async def import_pictures(request: Request, services: ServicesDep) -> JSONResponse:
    """Import a server folder, an object-store prefix or URLs by a job.

    This path also takes a form as ``/index/upload`` does, and an archive or a list as the whole body.
    """
    kind = media_type(request.headers)
    if kind == "multipart/form-data":
        async with read_form(request, files=IMPORT_FILES, max_files=1) as form:
            return await import_form(request, services, form)
    if kind not in KIND_OF_MEDIA_TYPE and kind != "application/json":
        raise HTTPException(415, "Send an archive, a list of references, or JSON that names a source.")
    return await import_body(request, services)
