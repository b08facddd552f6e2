"""Describe an unknown path or method, and suggest the one that may be meant."""

from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any, Final

_PREFIX: Final = "/v1"
_LEAST_LIKENESS: Final = 0.6
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


def unknown_path(path: str, document: Mapping[str, Any], prefix: str = "") -> str:
    """Describe a path that does not exist.

    Args:
        path: The requested path within the service.
        document: The OpenAPI document.
        prefix: Public prefix of the service's paths.
    """
    stripped = path.rstrip("/")
    if stripped != path and operations_at(stripped, document):
        return f"There is no {prefix}{path}; leave out the trailing slash: {prefix}{stripped}"
    nearest = _nearest(stripped, document)
    if nearest is not None:
        return f"There is no {prefix}{path}; did you mean {prefix}{nearest}?"
    return f"There is no {prefix}{path}; {prefix}/docs and {prefix}/openapi.json list every path."


def wrong_method(method: str, path: str, document: Mapping[str, Any], prefix: str = "") -> str:
    """Describe a method that a path does not take.

    Args:
        method: The requested method.
        path: The requested path within the service.
        document: The OpenAPI document.
        prefix: Public prefix of the service's paths.
    """
    methods = [name for name in _METHODS if name.lower() in operations_at(path, document)]
    if not methods:
        return f"{prefix}{path} does not take {method}."
    return f"{prefix}{path} does not take {method}; use {' or '.join(methods)}."


def _split(path: str) -> list[str]:
    return path.removeprefix(_PREFIX).strip("/").split("/")


def operations_at(path: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the operations of every documented path that matches, by method in lower case."""
    parts = _split(path)
    found: dict[str, Any] = {}
    for template, operations in document["paths"].items():
        wanted = _split(template)
        if len(wanted) == len(parts) and all(
            one.startswith("{") or one == part for one, part in zip(wanted, parts, strict=True)
        ):
            found |= operations
    return found


def _nearest(path: str, document: Mapping[str, Any]) -> str | None:
    prefix = _PREFIX if path.startswith(f"{_PREFIX}/") else ""
    ranked = sorted((_likeness(path, prefix + like), prefix + like) for like in _alike(path, document))
    return ranked[-1][1] if ranked and ranked[-1][0] >= _LEAST_LIKENESS else None


def _alike(path: str, document: Mapping[str, Any]) -> Iterator[str]:
    """Yield documented paths, with the requested path's segments in the place of parameters."""
    parts = _split(path)
    for template in document["paths"]:
        wanted = _split(template)
        if len(wanted) == len(parts):
            filled = (part if one.startswith("{") else one for one, part in zip(wanted, parts, strict=True))
            yield "/" + "/".join(filled)


def _likeness(a: str, b: str) -> float:
    """Return the similarity of the least similar pair of segments, 0 to 1."""
    pairs = zip(_split(a), _split(b), strict=True)
    return min(SequenceMatcher(None, one, other).ratio() for one, other in pairs)
