"""Find the methods that a path takes."""

from collections.abc import Sequence
from typing import Final

from starlette.routing import BaseRoute, Match, Mount

EVERY_METHOD: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Every method that some path takes, in the order of ``Allow``."""


_ROUTED: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


def allowed_methods(routes: Sequence[BaseRoute], path: str) -> tuple[str, ...]:
    """Return the methods that a path takes, for the header ``Allow``; none if there is no such path.

    Args:
        routes: The routes of the application.
        path: Path within the service.
    """
    found = {method for method in _ROUTED if any(_takes(route, method, path) for route in routes)}
    if "GET" in found:
        found.add("HEAD")
    if found:
        found.add("OPTIONS")
    return tuple(method for method in EVERY_METHOD if method in found)


def _takes(route: BaseRoute, method: str, path: str) -> bool:
    match, _ = route.matches({"type": "http", "method": method, "path": path, "root_path": "", "headers": []})
    # A mount has static files, and matches any method.
    return match is Match.FULL and (method == "GET" or not isinstance(route, Mount))
