"""Assign each request to a lane (searches, exports, writes or uploads); each lane has its own budget."""

import re
from enum import StrEnum
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

from app.api.forms import FORM, JSON, media_type
from app.api.import_kinds import IMPORTING_PATHS, KIND_OF_MEDIA_TYPE

SEARCHING_POSTS: Final = frozenset({"/search", "/search/query", "/search/batch", "/compare", "/compare/stored"})
"""Paths whose ``POST`` changes nothing, without their version prefix."""
_SEARCHING_GETS: Final = re.compile(
    r"/duplicates|/images|/images/[^/]+/(?:similar|suggestions|thumbnail)"
    r"|/collections/[^/]+/(?:distances|metadata|stats|words)"
)
"""Reads that scan an index or a table, or that decode a picture."""
_EXPORTS: Final = re.compile(r"/export|/collections/[^/]+/labels")
"""Answers that grow with a collection, which clients may read slowly."""
_WRITING_METHODS: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Lane(StrEnum):
    """A class of expensive requests."""

    SEARCH = "search"
    EXPORT = "export"
    WRITE = "write"
    """Changes that send no picture: metadata, deletions, jobs, settings."""
    UPLOAD = "upload"
    """Requests that send pictures, archives or lists of references."""


def path_of(scope: Scope) -> str:
    """Return the path of a request without the version prefix and the trailing slash."""
    path: str = scope["path"]
    return path.removeprefix("/v1").rstrip("/")


def lane_of(scope: Scope) -> Lane | None:
    """Return the lane of a request, judged by its head; None for cheap reads."""
    method, path = scope["method"], path_of(scope)
    if method == "GET":
        if _EXPORTS.fullmatch(path):
            return Lane.EXPORT
        return Lane.SEARCH if _SEARCHING_GETS.fullmatch(path) else None
    if method not in _WRITING_METHODS:
        return None
    if method == "POST" and path in SEARCHING_POSTS:
        return Lane.SEARCH
    return Lane.UPLOAD if _is_upload(scope, path) else Lane.WRITE


def may_decode(scope: Scope) -> bool:
    """Return whether a request may contain a picture to decode, judged by its head."""
    lane = lane_of(scope)
    return lane is Lane.UPLOAD or (lane is Lane.SEARCH and scope["method"] == "POST")


def _is_upload(scope: Scope, path: str) -> bool:
    kind = media_type(Headers(scope=scope))
    if scope["method"] == "POST" and path in IMPORTING_PATHS:
        return kind == FORM or kind in KIND_OF_MEDIA_TYPE
    return scope["method"] == "PUT" and path.startswith("/images/") and kind != JSON
