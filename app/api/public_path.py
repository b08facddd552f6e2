"""Addresses of this service as its clients see them, below the prefix of a proxy."""

from typing import Final

from starlette.types import Scope

PREFIX_KEY: Final = "app_root_path"
"""Entry of the scope that holds the public prefix. Starlette's ``request.base_url`` reads it too."""


def public_path(scope: Scope, path: str | None = None) -> str:
    """Return a path below the public prefix.

    Args:
        scope: Scope of the request that is answered.
        path: Path within the service; that of the request by default.
    """
    prefix: str = scope.get(PREFIX_KEY, "")
    return prefix + (scope["path"] if path is None else path)
