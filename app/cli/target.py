"""Open the target of a command: a running service, or the local database through the same application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.settings import announce, read_database_settings

if TYPE_CHECKING:
    from app.client import AsyncClient

UrlOption = Annotated[
    str | None,
    typer.Option("--url", help="A running service; without it the local database is used.", show_default=False),
]
KeyOption = Annotated[
    str | None,
    typer.Option("--key", envvar="LOOKALIKE_KEY", help="A key for that service.", show_default=False),
]
CollectionOption = Annotated[str, typer.Option("--collection", help="The collection.")]


@asynccontextmanager
async def open_target(url: str | None, key: str | None) -> "AsyncIterator[AsyncClient]":
    """Open a client of the service at ``url``, or of one that runs inside this process.

    The latter needs no key: its caller can read the local database anyway.
    """
    from app.client import AsyncClient

    if url is not None:
        announce(f"service {url}")
        async with AsyncClient(url, key=key, timeout_s=300) as client:
            yield client
        return
    # Loading the application takes seconds, which calls to a running service avoid.
    import httpx2

    from app.api.app import create_app

    app = create_app(read_database_settings(), require_keys=False, load_first=True)
    async with (
        app.router.lifespan_context(app),
        AsyncClient("http://127.0.0.1", transport=httpx2.ASGITransport(app), timeout_s=300) as client,
    ):
        yield client
