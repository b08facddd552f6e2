"""``/images``: stored pictures, their bytes and thumbnails."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict

from app.api.deps import (
    CallerDep,
    CollectionDep,
    CursorQuery,
    LimitQuery,
    PictureAddresses,
    PictureAddressesDep,
    RevisionDep,
    ServicesDep,
    etag_of,
)
from app.api.forms import (
    json_field,
    media_type,
    one_file,
    parse_fields,
    read_form,
    read_json,
    spooled,
    spooled_body,
    text_fields,
)
from app.api.json_response import FastJSONResponse
from app.api.routers.index import is_storable_text
from app.api.schemas.common import problems
from app.api.schemas.forms import BYTES, form_body, json_body
from app.api.schemas.images import DeleteRequest, DeleteResponse, Image, ImageList, ImagePatch
from app.domain.duplicates import OnDuplicate, OnNearDuplicate
from app.domain.errors import FieldError, InvalidFilter, InvalidRequest
from app.domain.filters import Filter, check_metadata, parse_filter
from app.domain.ids import parse_image_id
from app.domain.images import ImageRecord
from app.images.formats import ACCEPTED_MEDIA_TYPES
from app.services.pictures.adding import Outcome, PictureToAdd

router = APIRouter(prefix="/images", tags=["pictures"])

_IMAGE: Final[dict[str, Any]] = {"model": Image, "description": "The picture."}
_FILES: Final = ("file",)
_DELETE_EXAMPLES: Final[dict[str, Any]] = {
    "what a filter matches": {
        "value": {"filter": {"must": [{"key": "kind", "match": "scene"}]}, "dry_run": True}
    },
    "by ids": {"value": {"ids": ["sunset-01", "sunset-02"], "dry_run": True}},
}
_CACHE: Final = "private, max-age=0, must-revalidate"


@router.get(
    "",
    responses={200: {"model": ImageList}, **problems(404, 422, 503)},
    operation_id="listPictures",
    summary="List pictures",
)
async def list_images(
    services: ServicesDep,
    addresses: PictureAddressesDep,
    collection: CollectionDep,
    limit: LimitQuery = 50,
    cursor: CursorQuery = None,
    filter: Annotated[str | None, Query(description="A filter as JSON text")] = None,  # noqa: A002
    order: Annotated[Literal["oldest", "newest"], Query(description="Which pictures come first")] = "oldest",
) -> JSONResponse:
    """List pictures in the order in which they were added, or newest first."""
    # A cursor goes on in the same order only.
    listing = f"images {collection}" if order == "oldest" else f"images {collection} {order}"
    after = services.signer.open_list_cursor(listing, cursor)
    parsed = None if filter is None else parse_filter(json_field(filter, "filter"))
    page = await services.images.page(
        collection, after=after, limit=limit, metadata_filter=parsed, newest_first=order == "newest"
    )
    following = page.next_after
    return FastJSONResponse(
        {
            "items": [_document(record, collection, addresses) for record in page.images],
            "next_cursor": None if following is None else services.signer.seal_list_cursor(listing, following),
        }
    )


@router.post(
    "/delete",
    responses={200: {"model": DeleteResponse}, **problems(400, 404, 422, 503)},
    operation_id="deletePictures",
    summary="Delete many pictures",
    openapi_extra=json_body("DeleteRequest", _DELETE_EXAMPLES),
)
async def delete_many(request: Request, services: ServicesDep, caller: CallerDep) -> JSONResponse:
    """Delete pictures by ids, by a filter, the samples, or all of them; with ``dry_run``, only report which."""
    asked = await read_json(request, DeleteRequest)
    caller.check_collection(asked.collection)
    if asked.samples:
        gone = await services.sample_gallery.remove(asked.collection, dry_run=asked.dry_run)
    elif asked.ids is not None:
        gone = await services.images.delete_ids(asked.collection, asked.ids, dry_run=asked.dry_run)
    else:
        parsed = Filter() if asked.all else parse_filter(asked.filter)
        if parsed.is_empty and not asked.all:
            detail = 'it has no condition and would delete every picture; if you mean that, send "all": true'
            raise InvalidFilter(errors=[FieldError("/filter", detail)])
        gone = await services.images.delete_matching(asked.collection, parsed, dry_run=asked.dry_run)
    body = DeleteResponse(
        count=gone.count,
        ids=list(gone.image_ids),
        missing=[] if asked.samples else list(gone.missing),
        dry_run=asked.dry_run,
        index_version=gone.index_version,
    )
    return JSONResponse(body.model_dump(mode="json"))


@router.get(
    "/{image_id}",
    responses={200: _IMAGE, **problems(404, 503)},
    operation_id="getPicture",
    summary="Read a picture",
)
async def read(
    image_id: str,
    services: ServicesDep,
    addresses: PictureAddressesDep,
    collection: CollectionDep,
) -> JSONResponse:
    """Return a picture's record; pass its ETag as ``If-Match`` to change it safely."""
    return _answer(await services.images.get(collection, image_id), collection, addresses)


class _PutForm(BaseModel):
    """The text fields beside the file of a multipart PUT."""

    model_config = ConfigDict(extra="forbid")

    uri: str | None = None
    metadata: str | None = None


@router.put(
    "/{image_id}",
    responses={
        200: {**_IMAGE, "description": "It was replaced, or the same file was already stored."},
        201: {**_IMAGE, "description": "It was added."},
        **problems(400, 404, 409, 413, 415, 422, 503, 507),
    },
    operation_id="putPicture",
    summary="Add or replace one picture",
    openapi_extra=form_body("PictureUpload", {"file": "(a picture)"}),
)
async def put(
    image_id: str,
    request: Request,
    services: ServicesDep,
    addresses: PictureAddressesDep,
    collection: CollectionDep,
    on_near_duplicate: Annotated[
        Literal["error"] | None,
        Query(
            description="error: refuse a copy, edited or not, of a picture that is stored under another id. "
            "By default, copies are not detected"
        ),
    ] = None,
) -> JSONResponse:
    """Send the picture as the form field ``file`` with ``uri`` and ``metadata``, or its bytes as the body.

    A replaced picture keeps its place among equal distances.
    """
    async with _picture_to_put(parse_image_id(image_id), request) as picture:
        policy = None if on_near_duplicate is None else OnNearDuplicate(on_near_duplicate)
        added = await services.add_images.add([picture], collection, OnDuplicate.REPLACE, policy)
    outcome = added.images[0]
    if outcome.error is not None:
        raise outcome.error
    record = await services.images.get(collection, image_id)
    return _answer(record, collection, addresses, status=201 if outcome.outcome is Outcome.CREATED else 200)


@asynccontextmanager
async def _picture_to_put(image_id: str, request: Request) -> AsyncIterator[PictureToAdd]:
    if media_type(request.headers) != "multipart/form-data":
        async with spooled_body(request) as body:
            yield PictureToAdd(body, image_id=image_id)
        return
    async with read_form(request, files=_FILES, max_files=1) as form:
        file = one_file(form, "file")
        fields = parse_fields(await text_fields(form, files=_FILES), _PutForm, files=_FILES)
        metadata = None
        if fields.metadata is not None:
            metadata = check_metadata(json_field(fields.metadata, "metadata"))
        if fields.uri is not None and not is_storable_text(fields.uri):
            raise InvalidRequest(errors=[FieldError("/uri", "must have at most 2,048 characters and no NUL")])
        yield PictureToAdd(spooled(file), image_id=image_id, uri=fields.uri, metadata=metadata)


@router.patch(
    "/{image_id}",
    responses={200: _IMAGE, **problems(400, 404, 412, 422, 503)},
    operation_id="patchPicture",
    summary="Change a picture's metadata",
    openapi_extra=json_body(
        "ImagePatch", {"metadata": {"value": {"metadata": {"brand": "acme", "year": 2025}}}}
    ),
)
async def patch(
    image_id: str,
    request: Request,
    services: ServicesDep,
    addresses: PictureAddressesDep,
    revision: RevisionDep,
    collection: CollectionDep,
) -> JSONResponse:
    """Replace ``metadata`` or ``uri``; with ``If-Match`` only if the picture is unchanged since."""
    asked = await read_json(request, ImagePatch)
    changes = asked.model_dump(exclude_unset=True)
    if "metadata" in changes and changes["metadata"] is None:
        changes["metadata"] = {}
    if changes.get("uri") is not None and not is_storable_text(changes["uri"]):
        raise InvalidRequest(errors=[FieldError("/uri", "must have at most 2,048 characters and no NUL")])
    record = await services.images.patch(collection, image_id, changes, revision=revision)
    return _answer(record, collection, addresses)


@router.delete(
    "/{image_id}",
    status_code=204,
    responses=problems(404, 412, 503),
    operation_id="deletePicture",
    summary="Delete a picture",
)
async def delete(
    image_id: str, services: ServicesDep, revision: RevisionDep, collection: CollectionDep
) -> Response:
    """Delete one picture; the next search no longer finds it."""
    await services.images.delete(collection, image_id, revision=revision)
    return Response(status_code=204)


@router.get(
    "/{image_id}/thumbnail",
    response_class=Response,
    responses={
        200: {"content": {"image/webp": {"schema": BYTES}}, "description": "A smaller version of the picture."},
        304: {"description": "The cached version is current."},
        **problems(404, 410, 422, 503),
    },
    operation_id="getThumbnail",
    summary="Thumbnail",
)
async def thumbnail(
    image_id: str,
    request: Request,
    services: ServicesDep,
    collection: CollectionDep,
    size: Annotated[Literal["64", "128", "256", "512"], Query(description="Longest side in pixels")] = "256",
) -> Response:
    """The picture upright, fitting ``size`` × ``size`` pixels."""
    record = await services.images.get(collection, image_id)
    etag = f'"{record.sha256[:32]}-{size}"'
    if _has(request, etag):
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": _CACHE})
    content, kind = await services.images.thumbnail(record, int(size))
    return Response(content, media_type=kind, headers=_safe_headers(etag))


@router.get(
    "/{image_id}/content",
    response_class=Response,
    responses={
        200: {
            "content": {"image/*": {"schema": BYTES}},
            "description": "The file as uploaded, without the position.",
        },
        304: {"description": "The cached bytes are current."},
        **problems(404, 410, 503),
    },
    operation_id="getContent",
    summary="Original file",
)
async def content(
    image_id: str, request: Request, services: ServicesDep, caller: CallerDep, collection: CollectionDep
) -> Response:
    """Return the file as uploaded, but without the position where the picture was taken.

    The pixels and every other byte are the same. `LOOKALIKE_SERVE_POSITIONS` keeps positions.
    """
    caller.check_originals()
    record = await services.images.get(collection, image_id)
    etag = f'"{record.sha256[:32]}{"" if services.images.serves_positions else "-n"}"'
    if _has(request, etag):
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": _CACHE})
    stored = await services.images.content(record)
    headers = {**_safe_headers(etag), "Content-Length": str(stored.size_bytes)}
    return StreamingResponse(stored.pieces, media_type=_safe_media_type(record), headers=headers)


def _has(request: Request, etag: str) -> bool:
    given = request.headers.get("if-none-match", "")
    return given.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in given.split(",")]


def _safe_media_type(record: ImageRecord) -> str:
    """Return the type of a picture; never one that browsers run, whatever a restored row says."""
    return record.media_type if record.media_type in ACCEPTED_MEDIA_TYPES else "application/octet-stream"


def _safe_headers(etag: str) -> dict[str, str]:
    # Browsers must never run an uploaded file as anything but a picture.
    return {
        "ETag": etag,
        "Cache-Control": _CACHE,
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }


def _document(record: ImageRecord, collection: str, addresses: PictureAddresses) -> dict[str, Any]:
    """Return an ``Image``."""
    kept = record.has_bytes
    return {
        "id": record.image_id,
        "collection": collection,
        "sha256": record.sha256,
        "uri": record.uri,
        "metadata": record.metadata,
        "width": record.width,
        "height": record.height,
        "media_type": record.media_type,
        "size_bytes": record.size_bytes,
        "thumbnail_url": addresses.thumbnail(collection, record.image_id) if kept else None,
        "content_url": addresses.content(collection, record.image_id) if kept else None,
        "revision": record.revision,
        "created_at": _time(record.created_at),
        "updated_at": _time(record.updated_at),
    }


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _answer(
    record: ImageRecord, collection: str, addresses: PictureAddresses, status: int = 200
) -> JSONResponse:
    document = _document(record, collection, addresses)
    return FastJSONResponse(document, status, headers={"ETag": etag_of(record.revision)})
