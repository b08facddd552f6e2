"""Lists of references, in CSV or a line of JSON each: what they name becomes items of a manifest.

A line that cannot be used is an item that failed, with its line number; the others go on.
"""

import codecs
import io
import json
from collections.abc import Iterator
from typing import IO, Any, Final

from app.domain.errors import InvalidRequest
from app.domain.filters import check_metadata
from app.domain.ids import parse_image_id
from app.services.importing.manifests import SourceItem
from app.services.importing.tables import Row, Table, fields_of

_MAX_LINE: Final = 1_048_576
_MAX_TEXT: Final = 2_048
_SNIFFED: Final = 4_096
_CHUNK: Final = 1_048_576
_BYTE_ORDER_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def items_of_csv(upload: IO[bytes]) -> Iterator[SourceItem]:
    """Rows under a head of ``uri``, perhaps ``id`` and ``metadata`` (JSON); other columns are metadata.

    Raises:
        InvalidRequest: The list cannot be read from some line on; nothing of it can be trusted then.
    """
    encoding = _encoding_of(upload)

    def lines() -> IO[str]:
        upload.seek(0)
        return _Lines(upload, encoding)

    try:
        table = Table(lines)
        types = table.types()
        for row in table.rows():
            yield _of_row(row, types)
    except UnicodeDecodeError as error:
        raise _undecodable(upload, encoding) from error


def items_of_ndjson(upload: IO[bytes]) -> Iterator[SourceItem]:
    """A JSON object a line, with ``uri``, perhaps ``id`` and ``metadata``.

    Raises:
        InvalidRequest: The list is one JSON array, or is not text.
    """
    encoding = _encoding_of(upload)
    upload.seek(0)
    text = _Lines(upload, encoding)
    try:
        for number, line in enumerate(iter(lambda: text.readline(_MAX_LINE), ""), 1):
            if not line.strip():
                continue
            if len(line) == _MAX_LINE:
                raise InvalidRequest(f"line {number} has more than {_MAX_LINE:,} characters")
            if number == 1 and line.lstrip().startswith("["):
                raise InvalidRequest(
                    "line 1 begins a JSON array; write one object a line, as `jq -c '.[]'` does"
                )
            yield _of_line(line, number)
    except UnicodeDecodeError as error:
        raise _undecodable(upload, encoding) from error


class _Lines(io.TextIOWrapper):
    """Lines of an upload, their ends as they are."""

    def __init__(self, upload: IO[bytes], encoding: str) -> None:
        super().__init__(upload, encoding=encoding, newline="")

    def close(self) -> None:
        """Leave the upload open: it is read more than once."""


def _encoding_of(upload: IO[bytes]) -> str:
    """UTF-8 or UTF-16 by the byte order mark, else UTF-8 if all of it is, else Windows-1252."""
    upload.seek(0)
    head = upload.read(_SNIFFED)
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return encoding
    # The head of a list is ASCII: every other byte of it is zero in UTF-16.
    if head[1:2] == b"\0" and head[:1] != b"\0":
        return "utf-16-le"
    if head[:1] == b"\0" and head[1:2] != b"\0":
        return "utf-16-be"
    return "utf-8" if _undecodable_line(upload, "utf-8") is None else "cp1252"


def _undecodable_line(upload: IO[bytes], encoding: str) -> int | None:
    """The first line that is not in this encoding."""
    upload.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    while True:
        chunk = upload.read(_CHUNK)
        try:
            line += decoder.decode(chunk, final=not chunk).count("\n")
        except UnicodeDecodeError as error:
            return line + error.object[: error.start].count(b"\n")
        if not chunk:
            return None


def _undecodable(upload: IO[bytes], encoding: str) -> InvalidRequest:
    name = "UTF-8 nor Windows-1252" if encoding == "cp1252" else encoding.upper().removesuffix("-SIG")
    wrong = f"is neither {name}" if encoding == "cp1252" else f"is not {name}, as the list begins"
    return InvalidRequest(f"line {_undecodable_line(upload, encoding)} {wrong}; save the list as UTF-8")


def _of_row(row: Row, types: dict[str, Any]) -> SourceItem:
    uri = row.cells.get("uri")
    if row.problem is not None:
        return _refused(uri, row.line, f"line {row.line}: {row.problem}")
    try:
        fields = fields_of(row, types)
    except InvalidRequest as error:
        return _refused(uri, row.line, error.detail)
    given = {name: fields.pop(name, None) for name in ("uri", "id", "metadata")}
    try:
        metadata = json.loads(given["metadata"]) if given["metadata"] else {}
    except (ValueError, RecursionError) as error:
        return _refused(uri, row.line, f"line {row.line}, column metadata: no JSON object ({error})")
    if not isinstance(metadata, dict):
        return _refused(uri, row.line, f"line {row.line}, column metadata: not a JSON object")
    return _of_fields(given | {"metadata": metadata | fields}, row.line)


def _of_line(line: str, number: int) -> SourceItem:
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        return _refused(None, number, f"line {number}, column {error.colno}: no JSON ({error.msg})")
    except (ValueError, RecursionError) as error:
        return _refused(None, number, f"line {number}: no JSON that can be read ({error})")
    if not isinstance(fields, dict):
        return _refused(None, number, f"line {number} is no JSON object")
    return _of_fields(fields, number)


def _of_fields(fields: dict[str, Any], number: int) -> SourceItem:
    uri, image_id, metadata = fields.get("uri"), fields.get("id"), fields.get("metadata")
    if not isinstance(uri, str) or not _is_text(uri):
        return _refused(None, number, f"line {number}: uri is a text of 1 to {_MAX_TEXT:,} characters, no NUL")
    unknown = sorted(fields.keys() - {"uri", "id", "metadata"})
    if unknown:
        named = ", ".join(map(repr, unknown[:5]))
        return _refused(
            uri, number, f"line {number} has {named} beside uri, id and metadata; put it in metadata"
        )
    if image_id is not None and not isinstance(image_id, str):
        return _refused(uri, number, f"line {number}: id is a text, in quotation marks")
    if not isinstance(metadata, dict | None):
        return _refused(uri, number, f"line {number}: metadata is an object")
    try:
        if image_id is not None:
            parse_image_id(image_id)
        return SourceItem(uri, uri, image_id, check_metadata(metadata) if metadata else None)
    except InvalidRequest as error:
        named = f" {image_id[:60]!r}" if image_id is not None else ""
        return _refused(uri, number, f"line {number}{named}: {error.explanation}")


def _refused(uri: str | None, number: int, detail: str) -> SourceItem:
    name = uri if uri is not None and _is_text(uri) else f"line {number}"
    return SourceItem(name, error=(InvalidRequest.code, detail))


def _is_text(text: str) -> bool:
    is_storable = "\x00" not in text and not any("\ud800" <= c <= "\udfff" for c in text)
    return 1 <= len(text) <= _MAX_TEXT and is_storable
