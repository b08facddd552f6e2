"""``/admin/keys``: list, create, change, rotate and revoke keys."""

from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Response
from fastapi.responses import JSONResponse

from app.api.deps import ServicesDep
from app.api.schemas.common import problems
from app.api.schemas.keys import KeyChange, KeyCreate, KeyList, KeyRotate, KeyShape, SecretShape
from app.domain.access import KeyRecord
from app.services.access.keys import NewKey, Rights, names_of

router = APIRouter(prefix="/admin/keys", tags=["keys"])

_KEY: Final[dict[str, Any]] = {"model": KeyShape, "description": "The key."}
_SECRET: Final[dict[str, Any]] = {"model": SecretShape, "description": "The key with its secret, shown once."}
_NOT_STORED: Final = {"Cache-Control": "no-store"}


@router.get(
    "", responses={200: {"model": KeyList}, **problems(503)}, operation_id="listKeys", summary="List keys"
)
async def list_keys(services: ServicesDep) -> JSONResponse:
    """List all keys, including revoked and expired ones, and when each was last used."""
    body = KeyList(items=[KeyShape(**_shape(record)) for record in await services.keys.list()])
    return JSONResponse(body.model_dump(mode="json"))


@router.post(
    "",
    status_code=201,
    responses={201: _SECRET, **problems(422, 503)},
    operation_id="createKey",
    summary="Create a key",
)
async def create(
    services: ServicesDep,
    request: Annotated[
        KeyCreate,
        Body(
            openapi_examples={
                "for a page that searches one collection": {
                    "value": {"name": "shop frontend", "scope": "search", "collections": ["shop"]}
                }
            }
        ),
    ],
) -> JSONResponse:
    """Create a key. Its secret is in this answer only; `Idempotency-Key` has no effect here."""
    rights = Rights(
        request.scope,
        None if request.collections is None else names_of(request.collections) or (),
        request.originals,
        request.expires_at,
    )
    return _with_secret(await services.keys.create(request.name, rights), 201)


@router.get(
    "/{key_id}", responses={200: _KEY, **problems(404, 503)}, operation_id="getKey", summary="Read a key"
)
async def read(key_id: str, services: ServicesDep) -> JSONResponse:
    """Return a key's name, rights and times."""
    return _answer(await services.keys.get(key_id))


@router.patch(
    "/{key_id}",
    responses={200: _KEY, **problems(404, 409, 422, 503)},
    operation_id="patchKey",
    summary="Change a key",
)
async def change(
    key_id: str,
    services: ServicesDep,
    request: Annotated[
        KeyChange,
        Body(openapi_examples={"bind it to two collections": {"value": {"collections": ["shop", "archive"]}}}),
    ],
) -> JSONResponse:
    """Change a key's name or rights; its secret stays. A revoked key cannot be changed."""
    changes = request.model_dump(exclude_unset=True)
    if changes.get("collections") is not None:
        changes["collections"] = names_of(changes["collections"]) or ()
    return _answer(await services.keys.change(key_id, changes))


@router.post(
    "/{key_id}/rotate",
    responses={200: _SECRET, **problems(404, 409, 422, 503)},
    operation_id="rotateKey",
    summary="Rotate a key",
)
async def rotate(
    key_id: str,
    services: ServicesDep,
    request: Annotated[
        KeyRotate | None, Body(openapi_examples={"the secret has leaked": {"value": {"overlap_s": 0}}})
    ] = None,
) -> JSONResponse:
    """Give a key a new secret; the old one is accepted for `overlap_s` seconds, a day by default.

    Sessions and signed addresses of the old secret end with it.
    """
    overlap = timedelta(seconds=(request or KeyRotate()).overlap_s)
    return _with_secret(await services.keys.rotate(key_id, overlap), 200)


@router.delete(
    "/{key_id}", status_code=204, responses=problems(404, 503), operation_id="revokeKey", summary="Revoke a key"
)
async def revoke(key_id: str, services: ServicesDep) -> Response:
    """Revoke a key for good, with its sessions and signed addresses; effective within a second."""
    await services.keys.revoke(key_id)
    return Response(status_code=204)


def _shape(record: KeyRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "prefix": record.prefix,
        "scope": record.scope,
        "collections": None if record.collections is None else list(record.collections),
        "originals": record.originals,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "last_used_at": record.last_used_at,
        "revoked_at": record.revoked_at,
        "previous_secret_until": record.previous_until,
    }


def _answer(record: KeyRecord) -> JSONResponse:
    return JSONResponse(KeyShape(**_shape(record)).model_dump(mode="json"))


def _with_secret(made: NewKey, status: int) -> JSONResponse:
    body = SecretShape(**_shape(made.record), secret=made.text)
    return JSONResponse(body.model_dump(mode="json"), status, headers=_NOT_STORED)
