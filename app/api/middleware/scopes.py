"""The scope that each address needs, decided from its method and path."""

import re
from typing import Final

from app.api.middleware.lanes import SEARCHING_POSTS
from app.domain.access import Scope

_OPEN: Final = re.compile(
    r"/(?:(?:v1/)?(?:healthz|readyz)|docs(?:/.*)?|openapi\.json|page/.*|favicon\.ico|robots\.txt)?"
)
_SIGNABLE: Final = re.compile(r"(?:/v1)?/(?:images/[^/]+/(?:thumbnail|content)|jobs/[^/]+/events)")
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OF_SEARCH: Final = re.compile(
    r"/info|/images/[^/]+(?:/(?:similar|suggestions|thumbnail|content))?|/collections(?:/[^/]+(?:/(?:calibration|distances|metadata|words))?)?"
)
"""Reads of a page that searches. Original files are refused later, unless the key includes them."""
_OF_ADMINS: Final = re.compile(r"/admin(?:/.*)?|/jobs/[^/]+/(?:pause|resume|retry)")
_SESSIONS: Final = "/session"
_SECRETS: Final = re.compile(r"(?:/v1)?/admin/keys(?:/.*)?")


def needed_scope(method: str, path: str) -> Scope | None:
    """Return the scope that a request needs, open paths aside; None for sessions, which any key may open.

    Args:
        method: HTTP method.
        path: Path without the query.
    """
    path = path.removeprefix("/v1")
    if path == _SESSIONS:
        return None
    if _OF_ADMINS.fullmatch(path):
        return Scope.ADMIN
    if method not in _READING:
        return Scope.SEARCH if path in SEARCHING_POSTS else Scope.WRITE
    if path == "/metrics":
        return Scope.METRICS
    return Scope.SEARCH if _OF_SEARCH.fullmatch(path) or path in SEARCHING_POSTS else Scope.READ


def is_open(path: str) -> bool:
    """Return whether anyone may call the path."""
    return _OPEN.fullmatch(path) is not None


def is_for_writers(method: str, path: str) -> bool:
    """Return whether ``Access`` admits only callers that may write."""
    return not is_open(path) and needed_scope(method, path) in {Scope.WRITE, Scope.ADMIN}


def is_signable(path: str) -> bool:
    """Return whether URLs of that path are signed when keys are in use."""
    return _SIGNABLE.fullmatch(path) is not None


def has_secrets(path: str) -> bool:
    """Return whether answers of that path contain secrets, which must not be stored."""
    return _SECRETS.fullmatch(path) is not None
