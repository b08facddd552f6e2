"""Read multipart forms and JSON bodies by hand, where one address takes both."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from app.domain.errors import FieldError, InvalidRequest
from app.images.objects import store_faults

S = TypeVar("S", bound=BaseModel)

MAX_FIELD_BYTES = 1_000_000


def media_type(request: Request) -> str:
    """The body's media type without its parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json(request: Request, schema: type[S]) -> S:
    """Parse the body as ``schema``.

    Raises:
        RequestValidationError: It is not JSON, or not of that shape.
    """
    try:
        return schema.model_validate_json(await request.body())
    except ValidationError as error:
        raise _as_request_error(error) from error


def parse_fields(fields: dict[str, Any], schema: type[S]) -> S:
    """Parse a form's text fields as ``schema``.

    Raises:
        RequestValidationError: They are not of that shape.
    """
    try:
        return schema.model_validate(fields)
    except ValidationError as error:
        raise _as_request_error(error) from error


def _as_request_error(error: ValidationError) -> RequestValidationError:
    return RequestValidationError(
        [{**e, "loc": ("body", *e["loc"])} for e in error.errors(include_url=False, include_context=False)]
    )


@asynccontextmanager
async def read_form(request: Request, *, max_files: int) -> AsyncIterator[FormData]:
    """Parse a multipart body; its spooled files are closed at the end.

    Raises:
        HTTPException: 400 for what is no multipart form, or has too many parts.
        StorageFull: There is no space for its files.
    """
    try:
        with store_faults():
            form = await request.form(max_files=max_files, max_fields=64, max_part_size=MAX_FIELD_BYTES)
    except (KeyError, UnicodeDecodeError) as error:
        # The parser lets some of its own errors through on malformed heads.
        raise HTTPException(400, "The multipart form cannot be parsed.") from error
    try:
        yield form
    finally:
        await form.close()


def json_field(text: str, name: str) -> Any:
    """Parse a form field that holds JSON.

    Raises:
        InvalidRequest: It does not.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(errors=[FieldError(f"/{name}", "not valid JSON")]) from error


def one_file(form: FormData, name: str) -> UploadFile:
    """The single file of that name.

    Raises:
        InvalidRequest: There is none, or it is a text field.
    """
    value = form.get(name)
    if not isinstance(value, UploadFile):
        raise InvalidRequest(errors=[FieldError(f"/{name}", "a file is needed here")])
    return value
