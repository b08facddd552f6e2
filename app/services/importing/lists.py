"""Read lists of references, in CSV or NDJSON, as items of a manifest.

An invalid line becomes a failed item, named by its line number; the other lines are still read.
"""

import codecs
import io
import json
from collections.abc import Iterator
from typing import IO, Any, Final

from app.domain.errors import InvalidRequest
from app.domain.filters import check_metadata
from app.domain.ids import parse_image_id
from app.domain.json_text import RepeatedKey, parse_json
from app.services.importing.manifests import SourceItem
from app.services.importing.tables import ColumnType, Row, Table, parse_cells

_MAX_LINE: Final = 1_048_576
_MAX_TEXT: Final = 2_048
_HEAD_BYTES: Final = 4_096
_CHUNK: Final = 1_048_576
_BYTE_ORDER_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def items_of_csv(upload: IO[bytes]) -> Iterator[SourceItem]:
    """Yield an item for each row of a CSV with a header.

    The column ``uri`` is required, ``id`` and ``metadata`` (JSON) are optional; other columns are metadata.

    Raises:
        InvalidRequest: The list cannot be parsed from some line on; discard the items yielded before.
    """
    encoding = _encoding_of(upload)

    def lines() -> IO[str]:
        upload.seek(0)
        return _Lines(upload, encoding)

    try:
        table = Table(lines)
        types = table.types()
        for row in table.rows():
            yield _item_of_row(row, types)
    except UnicodeDecodeError as error:
        raise _undecodable(upload, encoding) from error


def items_of_ndjson(upload: IO[bytes]) -> Iterator[SourceItem]:
    """Yield an item for each line, a JSON object with ``uri`` and optionally ``id`` and ``metadata``.

    Raises:
        InvalidRequest: The list is a JSON array, has a line that is too long, or is not text.
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
                    "line 1 starts a JSON array; write one object per line, as `jq -c '.[]'` does"
                )
            yield _item_of_line(line, number)
    except UnicodeDecodeError as error:
        raise _undecodable(upload, encoding) from error


class _Lines(io.TextIOWrapper):
    """Text of an upload with unchanged line endings."""

    def __init__(self, upload: IO[bytes], encoding: str) -> None:
        super().__init__(upload, encoding=encoding, newline="")

    def close(self) -> None:
        """Do nothing: the upload is read again."""


def _encoding_of(upload: IO[bytes]) -> str:
    """Detect the encoding by the byte order mark; without one, UTF-8 if it is valid, else Windows-1252."""
    upload.seek(0)
    head = upload.read(_HEAD_BYTES)
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return encoding
    # A list starts with an ASCII character, of which one byte is zero in UTF-16.
    if head[1:2] == b"\0" and head[:1] != b"\0":
        return "utf-16-le"
    if head[:1] == b"\0" and head[1:2] != b"\0":
        return "utf-16-be"
    return "utf-8" if _undecodable_line(upload, "utf-8") is None else "cp1252"


def _undecodable_line(upload: IO[bytes], encoding: str) -> int | None:
    """Return the number of the first line that is invalid in this encoding; None if there is none."""
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
    problem = f"is neither {name}" if encoding == "cp1252" else f"is not {name}, unlike the start of the list"
    return InvalidRequest(f"line {_undecodable_line(upload, encoding)} {problem}; save the list as UTF-8")


def _item_of_row(row: Row, types: dict[str, ColumnType]) -> SourceItem:
    uri = row.cells.get("uri")
    if row.problem is not None:
        return _failed_item(uri, row.line, f"line {row.line}: {row.problem}")
    try:
        fields = parse_cells(row, types)
    except InvalidRequest as error:
        return _failed_item(uri, row.line, error.detail)
    reserved = {name: fields.pop(name, None) for name in ("uri", "id", "metadata")}
    try:
        metadata = parse_json(reserved["metadata"]) if reserved["metadata"] else {}
    except RepeatedKey as error:
        return _failed_item(uri, row.line, f"line {row.line}, column metadata: {error}")
    except (ValueError, RecursionError) as error:
        return _failed_item(uri, row.line, f"line {row.line}, column metadata: not valid JSON ({error})")
    if not isinstance(metadata, dict):
        return _failed_item(uri, row.line, f"line {row.line}, column metadata: not a JSON object")
    return _item_of_fields(reserved | {"metadata": metadata | fields}, row.line)


def _item_of_line(line: str, number: int) -> SourceItem:
    try:
        fields = parse_json(line)
    except RepeatedKey as error:
        return _failed_item(None, number, f"line {number}: {error}")
    except json.JSONDecodeError as error:
        return _failed_item(None, number, f"line {number}, column {error.colno}: not valid JSON ({error.msg})")
    except (ValueError, RecursionError) as error:
        return _failed_item(None, number, f"line {number}: JSON that cannot be read ({error})")
    if not isinstance(fields, dict):
        return _failed_item(None, number, f"line {number} is not a JSON object")
    return _item_of_fields(fields, number)


def _item_of_fields(fields: dict[str, Any], number: int) -> SourceItem:
    uri, image_id, metadata = fields.get("uri"), fields.get("id"), fields.get("metadata")
    if not isinstance(uri, str) or not _is_storable(uri):
        return _failed_item(
            None, number, f"line {number}: uri must be a string of 1 to {_MAX_TEXT:,} characters without NUL"
        )
    unknown = sorted(fields.keys() - {"uri", "id", "metadata"})
    if unknown:
        names = ", ".join(map(repr, unknown[:5]))
        return _failed_item(
            uri, number, f"line {number} has {names} besides uri, id and metadata; put it in metadata"
        )
    if image_id is not None and not isinstance(image_id, str):
        return _failed_item(uri, number, f"line {number}: id must be a string, in quotation marks")
    if not isinstance(metadata, dict | None):
        return _failed_item(uri, number, f"line {number}: metadata must be an object")
    try:
        if image_id is not None:
            parse_image_id(image_id)
        return SourceItem(uri, uri, image_id, check_metadata(metadata) if metadata else None)
    except InvalidRequest as error:
        subject = f" {image_id[:60]!r}" if image_id is not None else ""
        return _failed_item(uri, number, f"line {number}{subject}: {error.explanation}")


def _failed_item(uri: str | None, number: int, detail: str) -> SourceItem:
    name = uri if uri is not None and _is_storable(uri) else f"line {number}"
    return SourceItem(name, error=(InvalidRequest.code, detail))


def _is_storable(text: str) -> bool:
    has_unstorable = "\x00" in text or any("\ud800" <= c <= "\udfff" for c in text)
    return 1 <= len(text) <= _MAX_TEXT and not has_unstorable
