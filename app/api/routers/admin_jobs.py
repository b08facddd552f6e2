"""``/admin/jobs/…``: start jobs of each kind."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.api.deps import ServicesDep
from app.api.forms import media_type, read_form
from app.api.import_kinds import KIND_OF_MEDIA_TYPE
from app.api.schemas.common import problems
from app.api.schemas.jobs import Job
from app.api.uploads import ARCHIVE_FORM, IMPORT_BODIES, IMPORT_QUERY, import_body, import_form

router = APIRouter(prefix="/admin/jobs", tags=["jobs"])


@router.post(
    "/index",
    status_code=202,
    summary="Import pictures",
    openapi_extra={
        "requestBody": {"required": True, "content": ARCHIVE_FORM | IMPORT_BODIES},
        "parameters": IMPORT_QUERY,
    },
    responses={
        202: {"model": Job, "description": "A job takes them in; see Location."},
        **problems(400, 404, 413, 415, 422, 503, 507),
    },
)
async def import_pictures(request: Request, services: ServicesDep) -> JSONResponse:
    """Import an archive, a list of references, a server folder, an object-store prefix or URLs."""
    kind = media_type(request.headers)
    if kind == "multipart/form-data":
        async with read_form(request, files=("archive",), max_files=1) as form:
            return await import_form(request, services, form)
    if kind not in KIND_OF_MEDIA_TYPE and kind != "application/json":
        raise HTTPException(415, "Send an archive, a list of references, or JSON that names a place.")
    return await import_body(request, services)
