"""Open the target of a command: a service at an address, the one that runs on the data folder, or the database.

A command without an address looks for a running service on its data folder. Without one, or if that service
needs a key that the command lacks, the application runs inside the command, on the local database.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from app.cli.terminal.settings import announce, check_database, read_settings

if TYPE_CHECKING:
    from app.cli.terminal.service_record import RunningService
    from app.settings import Settings
    from lookalike_client import AsyncClient

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="LOOKALIKE_URL",
        help="A service; by default the one that runs on the data folder, otherwise the local database.",
        show_default=False,
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option("--key", envvar="LOOKALIKE_KEY", help="A key for the service.", show_default=False),
]
CollectionOption = Annotated[str, typer.Option("--collection", help="The collection.")]

TIMEOUT_S: Final = 300.0
IN_PROCESS: Final = "http://127.0.0.1"
"""Address of the application inside the command, as it sees it."""
PROBE_S: Final = 5.0
"""Time limit for the answer of a service that is recorded in the data folder."""


def call(url: str | None, key: str | None, work: "Callable[[AsyncClient], Awaitable[Any]]") -> Any:
    """Open the target, run ``work`` with its client, and return its result as JSON values.

    The result has the field names of the HTTP interface.

    Raises:
        ServiceError: The service refused a request, or does not answer.
        Misconfigured: A setting is wrong.
        typer.BadParameter: The address or the key is not valid.
    """
    import asyncio

    async def run() -> Any:
        async with open_target(url, key) as client:
            return as_document(await work(client))

    return asyncio.run(run())


def as_document(answer: Any) -> Any:
    """Return an answer of the client as JSON values."""
    import msgspec

    return msgspec.to_builtins(answer)


@asynccontextmanager
async def open_target(url: str | None, key: str | None) -> "AsyncIterator[AsyncClient]":
    """Open a client of the service at ``url``, of the one on the data folder, or of one inside this process.

    The last one needs no key: its caller can read the local database anyway.

    Raises:
        Misconfigured: A setting is wrong.
        typer.BadParameter: The address or the key is not valid.
    """
    import httpx2

    from lookalike_client import AsyncClient
    from lookalike_client.errors import shown

    check_key(key)
    if url is not None:
        check_url(url)
        announce(f"service {shown(httpx2.URL(url))}")
        async with AsyncClient(url, key=key or "", timeout_s=TIMEOUT_S) as client:
            yield client
        return
    settings = read_settings()
    running = await find_service(settings, key)
    if running is not None:
        announce(f"service {running.url}, which runs on {settings.storage.data_dir}")
        async with AsyncClient(running.url, key=key or "", timeout_s=TIMEOUT_S) as client:
            yield client
        return
    announce(f"database {check_database(settings)}")
    async with open_in_process(settings) as client:
        yield client


@asynccontextmanager
async def open_in_process(settings: "Settings") -> "AsyncIterator[AsyncClient]":
    """Run the application in this process and open a client of it."""
    # Loading the application takes seconds, which calls to a running service avoid.
    import httpx2

    from app.api.app import create_app
    from lookalike_client import AsyncClient

    app = create_app(settings, require_keys=False, load_first=True)
    async with (
        app.router.lifespan_context(app),
        AsyncClient(IN_PROCESS, key="", transport=httpx2.ASGITransport(app), timeout_s=TIMEOUT_S) as client,
    ):
        yield client


async def find_service(settings: "Settings", key: str | None) -> "RunningService | None":
    """Return a service that runs on the data folder and its database and answers this key; None without one.

    Args:
        settings: The settings of the command.
        key: The key to call the service with.

    Raises:
        Misconfigured: The address of the database is not valid.
        ServiceError: The service refuses the key.
    """
    from app.cli.terminal.service_record import running_services
    from lookalike_client import AsyncClient, ServiceError

    for service in running_services(settings.storage.data_dir):
        # Most addresses have no password or parameters to remove; comparing them needs no SQLAlchemy.
        is_same = service.database == settings.resolved_database_url
        if not is_same and service.database != check_database(settings):
            continue
        if not service.is_reachable:
            # Something else may listen on that address here, and must not be sent the key.
            announce(f"the database itself; the service {service.url} runs in a container or another network")
            continue
        try:
            async with AsyncClient(service.url, key=key or "", timeout_s=PROBE_S, retries=0) as client:
                await client.get_info()
        except ServiceError as error:
            if error.status == 401 and key is not None:
                announce(f"service {service.url}, which runs on {settings.storage.data_dir}")
                raise
            reason = "needs a key (LOOKALIKE_KEY)" if error.status == 401 else f"does not answer: {error}"
            announce(f"the database itself; the service {service.url} {reason}")
        else:
            return service
    return None


def check_url(url: str) -> None:
    """Check the address of a service.

    Raises:
        typer.BadParameter: It is not an http or https URL.
    """
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise typer.BadParameter(
            f"{url!r} is not an address; write http://HOST:PORT", param_hint="--url (LOOKALIKE_URL)"
        )


def check_key(key: str | None) -> None:
    """Check that a header can contain the key.

    Raises:
        typer.BadParameter: It contains characters other than visible ASCII.
    """
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise typer.BadParameter(
            "a key has only visible ASCII characters; copy it again", param_hint="--key (LOOKALIKE_KEY)"
        )
