"""Label requests by the templates of their paths, so that the number of labels is bounded."""

from collections.abc import Iterable
from typing import Final

from starlette._utils import get_route_path
from starlette.routing import compile_path
from starlette.types import Scope

UNKNOWN_ROUTE: Final = "(unknown)"
"""Label of paths that the service does not have."""


class RouteLabels:
    """Finds the template of a path, also for requests that are refused before they are routed."""

    def __init__(self, templates: Iterable[str], folders: Iterable[str]) -> None:
        """Know the templates of operations, and folders whose files share a label."""
        labels = {template: template for template in templates}
        labels |= {f"{folder}/{{file:path}}": f"{folder}/{{file}}" for folder in folders}
        self._fixed = {template for template in labels if "{" not in template}
        self._patterns = [
            (compile_path(template)[0], label) for template, label in labels.items() if "{" in template
        ]

    def label_of(self, scope: Scope) -> str:
        """Return the label of a request, without ``/v1`` and the prefix of a proxy.

        Call it before the request is routed: mounts change the scope.
        """
        path = get_route_path(scope).removeprefix("/v1")
        if path in self._fixed:
            return path
        return next((label for pattern, label in self._patterns if pattern.match(path)), UNKNOWN_ROUTE)
