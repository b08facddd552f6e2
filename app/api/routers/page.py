"""Serve the page at ``/`` and the documentation at ``/docs`` from the package, so that both work offline."""

from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

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
    "Cache-Control": "no-cache",
}


class _SafeStaticFiles(StaticFiles):
    """Static files under the page's content security policy."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(k.lower().encode(), v.encode()) for k, v in _HEADERS.items()]
            await send(message)

        await super().__call__(scope, receive, send_with_headers)


def install_page(app: FastAPI) -> None:
    """Serve the page and the documentation."""

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE_DIR / "index.html", headers=_HEADERS)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(DOCS_DIR / "docs.html", headers=_HEADERS)

    app.mount("/page", _SafeStaticFiles(directory=PAGE_DIR), name="page")
    app.mount("/docs", _SafeStaticFiles(directory=DOCS_DIR), name="docs")
