"""Read CSV, as programs and spreadsheets write it, and infer the types of its columns.

A list is read twice: a column has a type only if all its cells have it, so that one filter applies to all rows.
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
"""First line with the delimiter, as Excel writes it."""
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,99})(\.[0-9]{1,99})?")
"""A JSON number without exponent; ``007``, ``+49`` and ``1E5`` are more likely identifiers."""
_DECLARED_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,99}([.,][0-9]{1,99})?(e[+-]?[0-9]{1,2})?", re.IGNORECASE)
"""A number in a column that the header declares to contain numbers."""
_BOOLEANS: Final = {"true": True, "false": False}
_END: Final = "\x00end\x00"
"""Line appended after the last one, to detect a quotation mark that is never closed."""


class ColumnType(StrEnum):
    """Types of the cells in a column."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list."""

    name: str
    """``uri``, ``id``, ``metadata`` or a metadata key; empty if the header has no name."""
    type: ColumnType | None = None
    """Type from the header; None to infer it from the cells."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a list, without the header."""

    line: int
    """Number of its first line, from 1."""
    cells: dict[str, str]
    """Cells that are not empty, by column name."""
    problem: str | None = None
    """Why the row is invalid."""


@dataclass(frozen=True, slots=True)
class _Layout:
    delimiter: str
    columns: tuple[Column, ...]
    first_line: int
    """Number of the first line after the header."""


class Table:
    """A list in CSV."""

    def __init__(self, lines: Callable[[], IO[str]]) -> None:
        """Read the header of a list.

        Args:
            lines: Opens the list at its start, with unchanged line endings.

        Raises:
            InvalidRequest: The header has no column ``uri``, or a column twice.
        """
        self._lines = lines
        self._layout = _read_layout(lines())

    def rows(self) -> Iterator[Row]:
        """Yield the rows that are not empty.

        Raises:
            InvalidRequest: A quotation mark is never closed, or a cell is too long.
        """
        lines = self._lines()
        layout = self._layout
        for _ in range(layout.first_line - 1):
            lines.readline()
        for line, cells in _read_rows(chain(lines, (_END,)), layout.delimiter, layout.first_line):
            row = _row(line, cells, layout.columns)
            if row.cells or row.problem:
                yield row

    def types(self) -> dict[str, ColumnType]:
        """Return the type of each metadata column, from the header, or from all its cells.

        Raises:
            InvalidRequest: As for ``rows``.
        """
        untyped = {column.name for column in self._layout.columns if column.type is None}
        possible = {name: {ColumnType.NUMBER, ColumnType.BOOLEAN} for name in untyped - _RESERVED}
        for row in self.rows():
            for name, cell in row.cells.items():
                remaining = possible.get(name)
                if remaining:
                    remaining &= _types_of(cell)
        types = {column.name: column.type for column in self._layout.columns if column.type is not None}
        return types | {name: min(left, default=ColumnType.TEXT) for name, left in possible.items()}


def parse_cell(cell: str, column_type: ColumnType) -> str | int | float | bool:
    """Convert a cell to a type.

    Raises:
        ValueError: The cell is not of that type.
    """
    if column_type is ColumnType.NUMBER:
        if not _DECLARED_NUMBER.fullmatch(cell):
            raise ValueError("is not a number")
        number = cell.replace(",", ".")
        return float(number) if any(c in number for c in ".eE") else int(number)
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
    number, header, declared = 1, lines.readline(csv.field_size_limit()), None
    separator = _SEPARATOR_LINE.fullmatch(header)
    if separator:
        number, header, declared = 2, lines.readline(csv.field_size_limit()), separator[1]
    while header and not header.strip():
        number, header = number + 1, lines.readline(csv.field_size_limit())
    layouts = [
        _Layout(delimiter, _columns(header, delimiter), number + 1)
        for delimiter in ([declared] if declared else _DELIMITERS)
    ]
    valid = [layout for layout in layouts if any(column.name == "uri" for column in layout.columns)]
    if not valid:
        columns = max((layout.columns for layout in layouts), key=len)
        names = ", ".join(repr(column.name[:60]) for column in columns[:20] if column.name) or "none"
        raise InvalidRequest(
            f"line {number} has no column uri; the first line must name the columns; it names {names}"
        )
    layout = max(valid, key=lambda layout: len(layout.columns))
    seen: set[str] = set()
    for column in layout.columns:
        if column.name and column.name in seen:
            raise InvalidRequest(f"line {number} has the column {column.name!r} twice")
        seen.add(column.name)
    return layout


def _columns(header: str, delimiter: str) -> tuple[Column, ...]:
    cells = next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), [])
    return tuple(_column(nfc(cell.strip())) for cell in cells)


def _column(name: str) -> Column:
    if name.lower() in _RESERVED:
        return Column(name.lower())
    plain, colon, suffix = name.rpartition(":")
    if colon and plain.strip() and suffix.strip().lower() in set(ColumnType):
        return Column(plain.strip(), ColumnType(suffix.strip().lower()))
    return Column(name)


def _read_rows(lines: Iterator[str], delimiter: str, first_line: int) -> Iterator[tuple[int, list[str]]]:
    """Yield each row's line number and cells; consume the last line, which must be ``_END``."""
    start, last = first_line, None
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        for cells in reader:
            if last is not None:
                yield last
            last = start, cells
            start = first_line + reader.line_num
    except csv.Error as error:
        raise InvalidRequest(
            f"the row that starts on line {start} cannot be read ({error}); is a quotation mark left open?"
        ) from error
    # The end line is a row of its own, unless it is inside a quoted cell.
    if last is not None and last[1] != [_END]:
        raise InvalidRequest(f"the row that starts on line {last[0]} has a quotation mark that is never closed")


def _row(line: int, cells: Sequence[str], columns: Sequence[Column]) -> Row:
    by_name: dict[str, str] = {}
    problem = None
    for i, raw in enumerate(cells):
        cell = raw.strip()
        if not cell:
            continue
        name = columns[i].name if i < len(columns) else ""
        if name:
            by_name[name] = cell
        else:
            problem = problem or f"column {i + 1} contains {cell[:60]!r}, but the first line gives it no name"
    return Row(line, by_name, problem)


def parse_cells(row: Row, types: dict[str, ColumnType]) -> dict[str, Any]:
    """Return the cells of a row by column name; metadata cells are converted to their types.

    Raises:
        InvalidRequest: A cell is not of its column's type; the detail names the line and the column.
    """
    fields: dict[str, Any] = {}
    for name, cell in row.cells.items():
        try:
            fields[name] = cell if name in _RESERVED else parse_cell(cell, types[name])
        except ValueError as error:
            raise InvalidRequest(f"line {row.line}, column {name}: {cell[:60]!r} {error}") from error
    return fields
