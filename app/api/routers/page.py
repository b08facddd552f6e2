"""Serve the page at ``/`` and the documentation at ``/docs`` from the package, so that both work offline."""

import hashlib
import mimetypes
import os
from functools import lru_cache
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.datastructures import Headers
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_API: Final = Path(__file__).resolve().parent.parent
PAGE_DIR: Final = _API / "page"
DOCS_DIR: Final = _API / "docs_assets"

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    # Browsers keep the files and ask each time whether they are current, so an upgrade never mixes versions.
    "Cache-Control": "no-cache",
}


class _PageFiles(StaticFiles):
    """Static files under the page's content security policy.

    Their ETags are checksums: all files of a wheel have the same date, so date and size cannot tell versions
    apart.
    """

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,  # noqa: ARG002
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return the file, or 304 where the browser has it."""
        return _file(Path(full_path), Headers(scope=scope), status_code)


def _file(path: Path, asked: Headers, status_code: int = 200) -> Response:
    stat = path.stat()
    etag = _etag(path, stat.st_mtime_ns, stat.st_size)
    if etag in [tag.strip().removeprefix("W/") for tag in asked.get("if-none-match", "").split(",")]:
        # With the policy, too: browsers put the headers of a 304 in place of those that they keep.
        return Response(status_code=304, headers=_HEADERS | {"etag": etag})
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return Response(path.read_bytes(), status_code, _HEADERS | {"etag": etag}, kind)


@lru_cache(maxsize=512)
def _etag(path: Path, _changed_at: int, _size: int) -> str:
    return f'"{hashlib.sha256(path.read_bytes()).hexdigest()[:32]}"'


def install_page(app: FastAPI) -> None:
    """Serve the page and the documentation."""

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return _file(PAGE_DIR / "index.html", request.headers)

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return _file(DOCS_DIR / "docs.html", request.headers)

    app.mount("/page", _PageFiles(directory=PAGE_DIR), name="page")
    app.mount("/docs", _PageFiles(directory=DOCS_DIR), name="docs")
