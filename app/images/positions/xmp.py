"""Find positions and names of places in XMP, in any encoding that XML allows, in GML and in JSON."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from app.images.positions.patches import Span, Steps

_XML: Final = re.compile(rb"22-rdf-syntax-ns|adobe:ns:meta|opengis\.net/gml")
"""Part of a namespace that every such document names."""
_LOCAL: Final = (
    rb"(?:[Gg][Pp][Ss]\w{0,40}|\w{0,20}(?:[Ll]atitude|[Ll]ongt?itude|[Aa]ltitude)|City|State|Country(?:Code|Name)?"
    rb"|(?:[Ss]ub|shot)?[Ll]ocation(?:Created|Shown|Name|Id)?|ProvinceState|WorldRegion|coverage"
    rb"|[Ll]at|[Ll]on|[Ll]ng|[Ll]ong|lat_long|point|geohash|pos(?:List)?|coordinates|(?:lower|upper)Corner)"
)
_ATTRIBUTE: Final = re.compile(
    rb":" + _LOCAL + rb"""\s{0,8}=\s{0,8}(?:"(?P<a>[^"<]{1,4000})"|'(?P<b>[^'<]{1,4000})')"""
)
_ELEMENT: Final = re.compile(rb"<(/?)((?:[A-Za-z_][\w.-]{0,40}:)?" + _LOCAL + rb")((?:\s[^<>]{0,4000})?)>")
_JSON: Final = re.compile(
    rb'"(?:[\w.-]{1,40}:)?(?:GPS\w{1,40}|latitude|longitude|altitude|City|Country|ProvinceState|Sub-?location)"'
    rb"""\s{0,8}:\s{0,8}(?:"(?P<text>(?:[^"\\]|\\.){1,400})"|(?P<number>-?\d[\d.eE+-]{0,40}))""",
    re.IGNORECASE,
)
"""A place in JSON, such as that of a content credential."""
_TAG: Final = re.compile(rb"<[^<>]*>")
_WIDE: Final = (
    (re.compile(rb"(?:[\t\n\r -~]\0){16,}"), 2, 0),
    (re.compile(rb"(?:\0[\t\n\r -~]){16,}"), 2, 1),
    (re.compile(rb"(?:[\t\n\r -~]\0\0\0){16,}"), 4, 0),
    (re.compile(rb"(?:\0\0\0[\t\n\r -~]){16,}"), 4, 3),
)
"""Text in UTF-16 and UTF-32 of both byte orders: its form, bytes of a character, offset of the ASCII byte."""
_EXTENSION: Final = re.compile(rb"\xff\xe1..http://ns\.adobe\.com/xmp/extension/\0.{40}", re.DOTALL)
"""Head of a segment of extended XMP in a JPEG, which may be within a value."""


def xmp_spans(content: bytes, steps: Steps) -> Iterator[Span]:
    """Yield what to overwrite in the XMP data of a file.

    Raises:
        TooMuchMetadata: There are too many names of places, or parts of a document.
    """
    if _XML.search(content):
        yield from _spans_beside(content, [found.span() for found in _EXTENSION.finditer(content)], steps)
    for form, width, offset in _WIDE:
        fill = (b"\0" * offset + b" ").ljust(width, b"\0")
        for run in form.finditer(content):
            for start, end in _places(run.group()[offset::width], steps):
                yield run.start() + width * start, run.start() + width * end, fill


def json_spans(content: bytes, steps: Steps) -> Iterator[Span]:
    """Yield the values of names of places in JSON.

    Raises:
        TooMuchMetadata: There are too many.
    """
    for found in _JSON.finditer(content):
        steps.take()
        group, fill = ("text", b" ") if found["text"] is not None else ("number", b"0")
        if found[group].strip(fill):
            yield *found.span(group), fill


def _spans_beside(content: bytes, heads: Sequence[tuple[int, int]], steps: Steps) -> Iterator[Span]:
    """Yield the spans of a text that is interrupted by heads of segments, which stay as they are."""
    if not heads:
        yield from ((start, end, b" ") for start, end in _places(content, steps))
        return
    bounds = [0, *(bound for head in heads for bound in head), len(content)]
    pieces = [(bounds[i], bounds[i + 1]) for i in range(0, len(bounds), 2)]
    places = list(_places(b"".join(content[start:end] for start, end in pieces), steps))
    at = 0  # in the joined text
    for piece_start, piece_end in pieces:
        size = piece_end - piece_start
        steps.take(1 + len(places))
        for start, end in places:
            first, last = max(start, at), min(end, at + size)
            if first < last:
                yield piece_start + first - at, piece_start + last - at, b" "
        at += size


def _places(text: bytes, steps: Steps) -> Iterator[tuple[int, int]]:
    """Yield the values of attributes, and the texts within elements, that name a place."""
    for found in _ATTRIBUTE.finditer(text):
        steps.take()
        group = "a" if found["a"] is not None else "b"
        if found[group].strip():
            yield found.span(group)
    depth, opened = 0, 0
    for found in _ELEMENT.finditer(text):
        steps.take()
        if found[1]:
            depth = max(0, depth - 1)
            if depth == 0 and opened:
                yield from _texts(text, opened, found.start(), steps)
                opened = 0
        elif not found[3].endswith(b"/"):
            opened = opened if depth else found.end()
            depth += 1


def _texts(text: bytes, start: int, end: int, steps: Steps) -> Iterator[tuple[int, int]]:
    at = start
    for found in _TAG.finditer(text, start, end):
        steps.take()
        if text[at : found.start()].strip():
            yield at, found.start()
        at = found.end()
    if text[at:end].strip():
        yield at, end
