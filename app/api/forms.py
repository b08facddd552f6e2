"""Read multipart forms and JSON bodies by hand, for operations that accept both."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Final, TypeVar, cast
from urllib.parse import unquote

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from app.api.validation import InvalidFields
from app.domain.errors import FieldError, InvalidRequest
from app.domain.json_text import RepeatedKey, parse_json
from app.images.objects import store_faults
from app.images.spooled import SpooledContent
from app.settings import ENV_PREFIX

S = TypeVar("S", bound=BaseModel)

FORM: Final = "multipart/form-data"
JSON: Final = "application/json"
MAX_FIELD_BYTES: Final = 1_000_000
MAX_FIELDS: Final = 64
_JSON_EXAMPLES: Final = {
    "crop": ', such as {"x": 0.25, "y": 0.25, "width": 0.5, "height": 0.5}',
    "filter": ', such as {"must": [{"key": "brand", "match": "acme"}]}',
    "ids": ', such as ["sku-88", null]',
    "uris": ', such as ["shop/88.jpg", null]',
}
OFF_LOOP_BYTES: Final = 65_536
"""Larger JSON bodies are parsed in a thread."""
COUNTED_ERRORS: Final = 1_000
"""If a body has more errors than this, only their number is reported."""
MAX_TEXT_BYTES: Final = 4_000_000
"""Most bytes of all text fields of a form."""
IN_MEMORY_BYTES: Final = 262_144
"""Most bytes of a form's files that are held in memory; larger files go to disk."""
_PLAIN_ENCODINGS: Final = frozenset({b"7bit", b"8bit", b"binary"})
_CHARSETS: Final = frozenset({"utf-8", "utf8", "iso-8859-1", "us-ascii"})
"""Charsets that a form may name. Python's codecs include others that misread ASCII, or fail on any text."""


def media_type(headers: Headers) -> str:
    """Return the body's media type in lower case without parameters; empty if the head has none."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json(request: Request, schema: type[S]) -> S:
    """Parse the body as ``schema``.

    Raises:
        InvalidFields: It is not JSON, or does not match the schema.
        InvalidRequest: An object in it repeats a key.
    """
    body = await request.body()
    try:
        if len(body) > OFF_LOOP_BYTES:
            return await asyncio.to_thread(_parse, body, schema)
        return _parse(body, schema)
    except ValidationError as error:
        raise _as_request_error(error, schema) from error


def _parse(body: bytes, schema: type[S]) -> S:
    parsed = schema.model_validate_json(body)
    check_keys(body)
    return parsed


async def refuse_repeated_keys(request: Request) -> None:
    """Check the JSON body that FastAPI has parsed for a route.

    Raises:
        InvalidRequest: An object in it repeats a key.
    """
    route = request.scope["route"]
    if isinstance(route, APIRoute) and route.body_field is not None:
        # Already received, so this reads nothing.
        check_keys(await request.body())


def check_keys(text: str | bytes) -> None:
    """Check that no object in a JSON text repeats a key; other errors are not reported.

    Raises:
        InvalidRequest: One does.
    """
    try:
        parse_json(text)
    except RepeatedKey as error:
        raise _repeated(error.pointer) from error
    except (ValueError, RecursionError):
        return


def _repeated(pointer: str) -> InvalidRequest:
    return InvalidRequest(errors=[FieldError(pointer, "is given more than once; send it once")])


def parse_fields(fields: dict[str, Any], schema: type[S], *, name: str = "", files: Collection[str] = ()) -> S:
    """Parse a form's text fields, or one field's JSON, as ``schema``.

    Args:
        fields: The values by field.
        schema: Their schema.
        name: The form field that contains them, if they are one field's JSON.
        files: Names of the form's file fields, to suggest for misspelt ones.

    Raises:
        InvalidFields: They do not match the schema.
    """
    try:
        return schema.model_validate(fields)
    except ValidationError as error:
        raise _as_request_error(error, schema, name=name, files=files) from error


def _as_request_error(
    error: ValidationError, schema: type[BaseModel], *, name: str = "", files: Collection[str] = ()
) -> InvalidFields:
    below = ("body", name) if name else ("body",)
    count = error.error_count()
    if count > COUNTED_ERRORS:
        # To read them all would take longer than to parse the body.
        many = {"type": "too_many_errors", "loc": below, "msg": "", "ctx": {"count": count}}
        return InvalidFields([many], schema=schema, field=name, file_fields=files)
    errors = [{**entry, "loc": (*below, *entry["loc"])} for entry in error.errors(include_url=False)]
    return InvalidFields(errors, schema=schema, field=name, file_fields=files)


class _Form(MultiPartParser):
    """Recognises files by the names of their parts, and refuses a truncated form.

    The base class treats a part as a file only if it has a ``filename`` parameter, which RFC 7578 makes
    optional. It also accepts a form that ends before its closing boundary.
    """

    def __init__(self, request: Request, *, files: Collection[str], max_files: int) -> None:
        super().__init__(
            request.headers,
            request.stream(),
            max_files=max_files,
            max_fields=MAX_FIELDS,
            max_part_size=MAX_FIELD_BYTES,
        )
        self.spool_max_size = IN_MEMORY_BYTES // max_files
        self._text_bytes = 0
        self._files = frozenset(name.encode() for name in files)
        self._is_complete = False

    def on_headers_finished(self) -> None:
        part = self._current_part
        disposition = part.content_disposition or b""
        headers = dict(part.item_headers)
        if headers.get(b"content-transfer-encoding", b"binary").strip().lower() not in _PLAIN_ENCODINGS:
            raise MultiPartException("Send each part as it is, without a Content-Transfer-Encoding.")
        _, options = parse_options_header(disposition)
        if b"filename" not in options:
            extended = options.get(b"filename*")
            if extended is not None:
                part.content_disposition = disposition + b'; filename="' + _plain_name(extended) + b'"'
            elif options.get(b"name") in self._files:
                part.content_disposition = disposition + b'; filename=""'
        super().on_headers_finished()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._current_part.file is None:
            self._text_bytes += end - start
            if self._text_bytes > MAX_TEXT_BYTES:
                raise MultiPartException(f"The text fields have more than {MAX_TEXT_BYTES:,} bytes.")
        super().on_part_data(data, start, end)

    def on_end(self) -> None:
        self._is_complete = True

    def on_part_end(self) -> None:
        part = self._current_part
        if part.file is None:
            # The base class reads text that is not in the form's charset as Latin-1.
            try:
                part.data.decode(self._charset)
            except UnicodeDecodeError as error:
                raise _not_text(part.field_name) from error
        super().on_part_end()

    async def parse(self) -> FormData:
        _, options = parse_options_header(self.headers["Content-Type"])
        if options.get(b"charset", b"utf-8").decode("latin-1").lower() not in _CHARSETS:
            raise MultiPartException("Send the form in UTF-8; its Content-Type needs no charset.")
        form = await super().parse()
        if not self._is_complete:
            # The truncated part is not in the form yet, but its file is open.
            for file in self._files_to_close_on_error:
                file.close()
            raise MultiPartException(
                "The form ends before its closing boundary; nothing was stored. Send all of it again."
            )
        return form


def _plain_name(extended: bytes) -> bytes:
    """Return the file name of a ``filename*`` parameter (RFC 5987), safe inside a quoted string."""
    charset, _, quoted = extended.decode("latin-1").partition("'")
    charset = charset.lower() or "utf-8"
    name = unquote(quoted.partition("'")[2], charset, errors="replace") if charset in _CHARSETS else ""
    return "".join(c for c in name if c.isprintable() and c not in '"\\').encode()


@asynccontextmanager
async def read_form(
    request: Request, *, files: Collection[str], max_files: int, limit_setting: str | None = None
) -> AsyncIterator[FormData]:
    """Parse a multipart body; close its spooled files at the end of the block.

    Args:
        request: The request.
        files: Names of parts to treat as files even without a file name.
        max_files: Most files accepted.
        limit_setting: The setting that raises ``max_files``, if there is one.

    Raises:
        HTTPException: 400 for a body that is not a multipart form, is truncated, has too many parts, or names
            a charset other than UTF-8, ISO-8859-1 and US-ASCII.
        InvalidRequest: A text field is not in the form's charset.
        StorageFull: There is no disk space for its files.
    """
    parser = _Form(request, files=files, max_files=max_files)
    try:
        with store_faults():
            form = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, _form_fault(error.message, max_files, limit_setting)) from error
    except (KeyError, UnicodeDecodeError) as error:
        # The parser does not convert every error that a malformed head causes.
        raise HTTPException(400, "The multipart form cannot be parsed.") from error
    try:
        yield form
    finally:
        await form.close()


def _form_fault(message: str, max_files: int, limit_setting: str | None) -> str:
    if message.startswith("Too many files"):
        remedy = f"; the setting {ENV_PREFIX}{limit_setting.upper()} raises the limit" if limit_setting else ""
        return f"The form has more than {max_files} file{'s' if max_files != 1 else ''}{remedy}."
    if message.startswith("Too many fields"):
        return f"The form has more than {MAX_FIELDS} text fields."
    if message.startswith("Part exceeded"):
        return f"A text field of the form has more than {MAX_FIELD_BYTES:,} bytes."
    return message


@asynccontextmanager
async def spooled_body(request: Request) -> AsyncIterator[SpooledContent]:
    """Receive a raw body, to disk if it is large.

    Raises:
        StorageFull: There is no space for it.
    """
    with SpooledTemporaryFile(IN_MEMORY_BYTES) as file:
        size = 0
        async for chunk in request.stream():
            with store_faults():
                size += file.write(chunk)
        yield SpooledContent(cast(BinaryIO, file), size)


def spooled(file: UploadFile) -> SpooledContent:
    """Return an uploaded file to read later, while its form is open."""
    return SpooledContent(file.file, file.size or 0)


async def text_fields(form: FormData, *, files: Collection[str]) -> dict[str, Any]:
    """Return the parts of a form other than ``files``, by name.

    A text part with a file name counts as text, because browsers send a JSON ``Blob`` that way. A part too
    large for text stays an upload, which the schema refuses.

    Raises:
        InvalidRequest: A part is repeated, or its text is not UTF-8.
    """
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        if name in files:
            continue
        if name in fields:
            raise _repeated(f"/{name}")
        fields[name] = value
        if isinstance(value, UploadFile) and _is_text(value):
            try:
                fields[name] = (await value.read()).decode()
            except UnicodeDecodeError as error:
                raise _not_text(name) from error
    return fields


def _not_text(name: str) -> InvalidRequest:
    return InvalidRequest(errors=[FieldError(f"/{name}", "must be text in UTF-8")])


def _is_text(part: UploadFile) -> bool:
    kind = (part.content_type or "text/plain").partition(";")[0].strip().lower()
    return (part.size or 0) <= MAX_FIELD_BYTES and (kind.startswith("text/") or kind == "application/json")


def json_field(text: str, name: str) -> Any:
    """Parse a form field that holds JSON.

    Raises:
        InvalidRequest: It is not valid JSON, or an object in it repeats a key.
    """
    try:
        return parse_json(text)
    except RepeatedKey as error:
        raise _repeated(f"/{name}{error.pointer}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            errors=[FieldError(f"/{name}", f"must be valid JSON{_JSON_EXAMPLES.get(name, '')}")]
        ) from error


def one_file(form: FormData, name: str) -> UploadFile:
    """Return the single file of that name.

    Raises:
        InvalidRequest: The form has no file of that name, or several.
    """
    values = form.getlist(name)
    if len(values) != 1 or not isinstance(values[0], UploadFile):
        others = [
            other for other, value in form.multi_items() if isinstance(value, UploadFile) and other != name
        ]
        instead = f", not `{others[0]}`" if others else ""
        raise InvalidRequest(errors=[FieldError(f"/{name}", f"send one file in this form field{instead}")])
    return values[0]
