"""Lists in CSV, as programs and spreadsheets write them: which columns a list has, and of what types.

A list is read twice: a column has a type only if all its cells have it, so that one filter fits all of them.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import IO, Any, Final

from app.domain.errors import InvalidRequest
from app.domain.texts import nfc

_DELIMITERS: Final = (",", ";", "\t", "|")
_RESERVED: Final = frozenset({"uri", "id", "metadata"})
_SEPARATOR_LINE: Final = re.compile(r"sep=(.)\s*", re.IGNORECASE)
"""Excel's own first line."""
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,99})(\.[0-9]{1,99})?")
"""As JSON writes it, without an exponent: ``007``, ``+49`` and ``1E5`` are rather codes of something."""
_WRITTEN_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,99}([.,][0-9]{1,99})?(e[+-]?[0-9]{1,2})?", re.IGNORECASE)
"""In a column that is said to hold numbers."""
_BOOLEANS: Final = {"true": True, "false": False}
_END: Final = "\x00end\x00"


class ColumnType(StrEnum):
    """What the cells of a column are."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list."""

    name: str
    """``uri``, ``id``, ``metadata`` or a key of the metadata; empty where the head names none."""
    type: ColumnType | None = None
    """None where the cells decide."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a list under its head."""

    line: int
    """Where it begins, from 1."""
    cells: dict[str, str]
    """By column; empty cells are left out."""
    problem: str | None = None
    """Why the row cannot be used."""


@dataclass(frozen=True, slots=True)
class _Layout:
    delimiter: str
    columns: tuple[Column, ...]
    first_line: int
    """The line on which the rows begin."""


class Table:
    """A list in CSV."""

    def __init__(self, lines: Callable[[], IO[str]]) -> None:
        """Read the head of a list.

        Args:
            lines: Opens the list from its beginning, its line ends as they are.

        Raises:
            InvalidRequest: The head names no column ``uri``, or a column twice.
        """
        self._lines = lines
        self._layout = _read_layout(lines())

    def rows(self) -> Iterator[Row]:
        """The rows that are not empty.

        Raises:
            InvalidRequest: A quotation mark is never closed, or a cell is far too long.
        """
        lines = self._lines()
        layout = self._layout
        for _ in range(layout.first_line - 1):
            lines.readline()
        for line, cells in _parsed(chain(lines, (_END,)), layout.delimiter, layout.first_line):
            row = _row(line, cells, layout.columns)
            if row.cells or row.problem:
                yield row

    def types(self) -> dict[str, ColumnType]:
        """The type of each column of metadata: as the head says, else of all its cells.

        Raises:
            InvalidRequest: As of ``rows``.
        """
        open_names = {column.name for column in self._layout.columns if column.type is None}
        possible = {name: {ColumnType.NUMBER, ColumnType.BOOLEAN} for name in open_names - _RESERVED}
        for row in self.rows():
            for name, cell in row.cells.items():
                left = possible.get(name)
                if left:
                    left &= _types_of(cell)
        types = {column.name: column.type for column in self._layout.columns if column.type is not None}
        return types | {name: min(left, default=ColumnType.TEXT) for name, left in possible.items()}


def typed(cell: str, column_type: ColumnType) -> str | int | float | bool:
    """The value of a cell.

    Raises:
        ValueError: It is not of that type.
    """
    if column_type is ColumnType.NUMBER:
        if not _WRITTEN_NUMBER.fullmatch(cell):
            raise ValueError("is not a number")
        written = cell.replace(",", ".")
        return float(written) if any(c in written for c in ".eE") else int(written)
    if column_type is ColumnType.BOOLEAN:
        if cell.lower() not in _BOOLEANS:
            raise ValueError("is neither true nor false")
        return _BOOLEANS[cell.lower()]
    return cell


def _types_of(cell: str) -> set[ColumnType]:
    if _NUMBER.fullmatch(cell):
        return {ColumnType.NUMBER}
    return {ColumnType.BOOLEAN} if cell.lower() in _BOOLEANS else set()


def _read_layout(lines: IO[str]) -> _Layout:
    number, head, given = 1, lines.readline(csv.field_size_limit()), None
    separator = _SEPARATOR_LINE.fullmatch(head)
    if separator:
        number, head, given = 2, lines.readline(csv.field_size_limit()), separator[1]
    while head and not head.strip():
        number, head = number + 1, lines.readline(csv.field_size_limit())
    layouts = [
        _Layout(delimiter, _columns(head, delimiter), number + 1)
        for delimiter in ([given] if given else _DELIMITERS)
    ]
    found = [layout for layout in layouts if any(column.name == "uri" for column in layout.columns)]
    if not found:
        names = max((layout.columns for layout in layouts), key=len)
        named = ", ".join(repr(column.name[:60]) for column in names[:20] if column.name) or "nothing"
        raise InvalidRequest(
            f"line {number} names no column uri; the first line names the columns, uri among them; here {named}"
        )
    layout = max(found, key=lambda layout: len(layout.columns))
    names_seen: set[str] = set()
    for column in layout.columns:
        if column.name and column.name in names_seen:
            raise InvalidRequest(f"line {number} names the column {column.name!r} twice")
        names_seen.add(column.name)
    return layout


def _columns(head: str, delimiter: str) -> tuple[Column, ...]:
    cells = next(csv.reader([head], delimiter=delimiter, skipinitialspace=True), [])
    return tuple(_column(nfc(cell.strip())) for cell in cells)


def _column(name: str) -> Column:
    if name.lower() in _RESERVED:
        return Column(name.lower())
    plain, colon, word = name.rpartition(":")
    if colon and plain.strip() and word.strip().lower() in set(ColumnType):
        return Column(plain.strip(), ColumnType(word.strip().lower()))
    return Column(name)


def _parsed(lines: Iterator[str], delimiter: str, line: int) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row, and the line on which it begins."""
    first, begins, last = line, line, None
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        for cells in reader:
            if last is not None:
                yield last
            last = begins, cells
            begins = first + reader.line_num
    except csv.Error as error:
        raise InvalidRequest(
            f"the row that begins on line {begins} cannot be read ({error}); is a quotation mark left open?"
        ) from error
    # The end that was put behind the last line is a row by itself, unless a quoted cell goes on into it.
    if last is not None and last[1] != [_END]:
        raise InvalidRequest(
            f"the row that begins on line {last[0]} has a quotation mark that is opened and never closed"
        )


def _row(line: int, cells: Sequence[str], columns: Sequence[Column]) -> Row:
    given: dict[str, str] = {}
    problem = None
    for i, raw in enumerate(cells):
        cell = raw.strip()
        if not cell:
            continue
        name = columns[i].name if i < len(columns) else ""
        if name:
            given[name] = cell
        else:
            problem = problem or f"column {i + 1} holds {cell[:60]!r}, and the first line gives it no name"
    return Row(line, given, problem)


def fields_of(row: Row, types: dict[str, ColumnType]) -> dict[str, Any]:
    """The cells of a row with their types: ``uri``, ``id``, the text of ``metadata``, and other metadata.

    Raises:
        InvalidRequest: A cell is not of its column's type; with the line and column.
    """
    fields: dict[str, Any] = {}
    for name, cell in row.cells.items():
        try:
            fields[name] = cell if name in _RESERVED else typed(cell, types[name])
        except ValueError as error:
            raise InvalidRequest(f"line {row.line}, column {name}: {cell[:60]!r} {error}") from error
    return fields
