"""Errors as problem+json (RFC 9457): the one table from error codes to HTTP statuses."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from app.api.addresses import unknown_path, wrong_method
from app.api.allowed_methods import allowed_methods
from app.api.public_path import public_path
from app.api.validation import field_errors, is_broken_json, summary_of
from app.domain.errors import FieldError, LookalikeError, RateLimited, Unavailable
from app.images.formats import ACCEPTED_MEDIA_TYPES

_log = structlog.get_logger()

STATUS_OF_CODE: Final[Mapping[str, int]] = {
    "validation_failed": 422,
    "picture_refused": 422,
    "not_an_image": 415,
    "unsupported_format": 415,
    "image_too_large": 413,
    "image_too_many_pixels": 422,
    "image_too_many_scans": 422,
    "picture_damaged": 422,
    "worker_died": 422,
    "decode_timeout": 422,
    "archive_refused": 422,
    "entry_refused": 422,
    "nothing_to_import": 422,
    "url_not_allowed": 422,
    "fetch_failed": 422,
    "too_many_pictures": 422,
    "text_not_understood": 422,
    "text_not_supported": 422,
    "not_found": 404,
    "unknown_collection": 404,
    "unknown_image": 404,
    "unknown_model": 404,
    "unknown_key": 404,
    "unknown_backup": 404,
    "unknown_job": 404,
    "picture_gone": 410,
    "file_damaged": 410,
    "conflict": 409,
    "id_exists": 409,
    "near_duplicate_exists": 409,
    "collection_exists": 409,
    "collection_in_use": 409,
    "model_mismatch": 409,
    "model_exists": 409,
    "codes_missing": 409,
    "model_not_ready": 409,
    "no_previous_model": 409,
    "not_reencodable": 409,
    "training_not_installed": 409,
    "request_in_flight": 409,
    "job_exists": 409,
    "job_not_cancellable": 409,
    "job_not_resumable": 409,
    "key_revoked": 409,
    "precondition_failed": 412,
    "access_denied": 403,
    "unauthenticated": 401,
    "forbidden": 403,
    "unavailable": 503,
    "index_not_ready": 503,
    "index_unavailable": 503,
    "overloaded": 503,
    "rate_limited": 429,
    "stopping": 503,
    "activation_pending": 503,
    "database_unavailable": 503,
    "storage_unavailable": 503,
    "decoder_unavailable": 503,
    "storage_full": 507,
    "folder_not_writable": 500,
    "foreign_database": 500,
    "artifact_refused": 409,
    "backup_refused": 409,
    "schema_too_new": 500,
    "error": 500,
}

_CODE_OF_STATUS: Final[Mapping[int, str]] = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "request_too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
    431: "request_head_too_large",
    501: "not_implemented",
    505: "http_version_not_supported",
}


ERROR_CODES: Final = tuple(sorted({*STATUS_OF_CODE, *_CODE_OF_STATUS.values(), "internal_error"}))
"""Every code of a problem."""


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    instance: str,
    request_id: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """Return an answer of media type application/problem+json; ``more`` are extra members of this type."""
    body: dict[str, Any] = {
        "type": f"urn:lookalike:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": instance,
        "code": code,
        "request_id": request_id,
        "errors": [{"pointer": error.pointer, "detail": error.detail} for error in errors],
        **(more or {}),
    }
    return JSONResponse(body, status, dict(headers or {}), media_type="application/problem+json")


def problem_of(error: LookalikeError, *, instance: str, request_id: str) -> JSONResponse:
    """Return the answer to a domain error."""
    headers = {}
    if isinstance(error, Unavailable | RateLimited):
        headers["Retry-After"] = str(error.retry_after_s)
    if error.code == "unauthenticated":
        headers["WWW-Authenticate"] = 'Bearer realm="lookalike"'
    return problem(
        STATUS_OF_CODE[error.code],
        error.code,
        detail_of(error),
        instance=instance,
        request_id=request_id,
        errors=error.errors,
        headers=headers,
        more={"accepted": list(ACCEPTED_MEDIA_TYPES)} if STATUS_OF_CODE[error.code] == 415 else None,
    )


def detail_of(error: LookalikeError) -> str:
    """Return an error's detail, or the first field's if the detail only says that something is not valid."""
    return summary_of(error.errors) if error.errors and error.detail == type(error).__doc__ else error.detail


UNREADABLE_BODY: Final = (
    "The body cannot be read as JSON: it has a number of too many digits (send it as text) or nests too deeply."
)


def _request_id(request: Request) -> str:
    request_id: str = request.scope.get("state", {}).get("request_id", "")
    return request_id


def _on_own_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, LookalikeError):
        raise error
    return problem_of(error, instance=public_path(request.scope), request_id=_request_id(request))


def _on_http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    detail, headers = str(error.detail), dict(error.headers or {})
    path, prefix = request.scope["path"], public_path(request.scope, "")
    if detail == "There was an error parsing the body":  # FastAPI's, of any error
        detail = UNREADABLE_BODY
    if error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = unknown_path(path, request.app.openapi(), prefix)
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = wrong_method(request.method, path, request.app.openapi(), prefix)
        headers["Allow"] = ", ".join(allowed_methods(request.app.routes, path))
    return problem(
        error.status_code,
        _CODE_OF_STATUS.get(error.status_code, "error"),
        detail,
        instance=public_path(request.scope, path),
        request_id=_request_id(request),
        headers=headers,
    )


def _on_invalid_request(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = field_errors(error, _body_schema(request))
    broken_json = is_broken_json(error)
    return problem(
        400 if broken_json else 422,
        "bad_request" if broken_json else "validation_failed",
        summary_of(errors),
        instance=public_path(request.scope),
        request_id=_request_id(request),
        errors=errors,
    )


def _body_schema(request: Request) -> type[BaseModel] | None:
    """Return the schema of the body that FastAPI parses for this route."""
    route = request.scope.get("route")
    parameters = route.dependant.body_params if isinstance(route, APIRoute) else ()
    schemas = [parameter.field_info.annotation for parameter in parameters]
    return next((s for s in schemas if isinstance(s, type) and issubclass(s, BaseModel)), None)


def on_unexpected_error(instance: str, request_id: str) -> JSONResponse:
    """Return the answer to an unexpected error; only the log says what happened."""
    return problem(
        500,
        "internal_error",
        "The service failed to answer; its log has the reason under this request_id.",
        instance=instance,
        request_id=request_id,
    )


def install_problem_handlers(app: FastAPI) -> None:
    """Answer every error of the app as problem+json."""
    app.add_exception_handler(LookalikeError, _on_own_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
