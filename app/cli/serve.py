"""``lookalike serve``: run the HTTP service."""

import asyncio
import errno
import math
import socket
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.settings import log_database, read_settings
from app.cli.startup import ExplainedStart

if TYPE_CHECKING:
    import uvicorn

    from app.api.connections import Connections
    from app.bootstrap import ServingServices
    from app.settings import Settings


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on.", show_default="8000")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Answer without keys on an address that others can reach.")
    ] = False,
    samples: Annotated[
        bool, typer.Option("--samples", help="Add the sample gallery on the very first start.")
    ] = False,
    with_worker: Annotated[
        bool, typer.Option("--worker", help="Run jobs too, in a process beside this one.")
    ] = False,
) -> None:
    """Run the service; it migrates its database and loads its index first."""
    import uvicorn

    from app.api.app import create_app
    from app.bootstrap import ServingServices, active_key_exists, make_folders
    from app.cli.worker_process import WorkerProcess
    from app.settings import Misconfigured
    from app.telemetry.logging import configure_logging

    given = {"host": host, "port": port, "insecure": insecure or None}
    settings = read_settings().replace(**{k: v for k, v in given.items() if v is not None})
    configure_logging(settings.telemetry.log_format, settings.telemetry.log_level)
    log_database(settings)
    # Before the server starts, which would log a failure with a traceback.
    make_folders(settings)
    settings.access.read_bootstrap_admin_key()
    exposed = not settings.server.listens_on_loopback and not settings.access.insecure
    if exposed and not asyncio.run(active_key_exists(settings)):
        raise Misconfigured(
            "host",
            settings.server.host,
            "others can reach this address, and there is no key; make one with `lookalike keys create`, set "
            "LOOKALIKE_BOOTSTRAP_ADMIN_KEY, or take the risk with --insecure",
        )
    check_address(settings.server.host, settings.server.port)
    server: uvicorn.Server
    worker = WorkerProcess()

    async def on_ready(services: ServingServices) -> None:
        if samples:
            await services.sample_gallery.add_on_first_start()
        typer.echo(_ready_line(services, server), err=False)
        sys.stdout.flush()
        if with_worker:
            worker.start()

    async def on_stop() -> None:
        await asyncio.to_thread(worker.stop)

    app = ExplainedStart(
        create_app(settings, on_ready=on_ready, on_stop=on_stop, is_stopping=lambda: server.should_exit)
    )
    config = uvicorn.Config(
        app,
        host=settings.server.host,
        port=settings.server.port,
        log_config=None,
        access_log=False,
        server_header=False,
        http=_connections(settings).protocol(),
        ws="none",
        # Short, because connections accepted in one go are not counted yet.
        backlog=128,
        timeout_keep_alive=math.ceil(settings.server.idle_timeout_s),
        timeout_graceful_shutdown=10,
    )
    server = uvicorn.Server(config)
    try:
        server.run()
    except SystemExit:  # uvicorn's, of a start that failed
        if app.error is None:
            raise
    if app.error is not None:
        raise app.error


def check_address(host: str, port: int) -> None:
    """Check that the service can listen before a start that takes seconds.

    Raises:
        Misconfigured: The host is not an address of this machine, or the port is taken or not allowed.
    """
    from app.settings import Misconfigured

    try:
        family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise Misconfigured("host", host, "it is not an address of this machine; name one") from error
        remedy = f"the service cannot listen there ({error.strerror}); name a free port, or end what uses it"
        raise Misconfigured("port", port, remedy) from error


def _connections(settings: "Settings") -> "Connections":
    from app.api.connections import ConnectionLimits, Connections
    from app.api.descriptors import affordable_connections, raise_descriptor_limit

    return Connections(
        ConnectionLimits(
            max_connections=affordable_connections(settings.server.max_connections, raise_descriptor_limit()),
            max_connections_per_address=settings.server.max_connections_per_address,
            max_head_bytes=settings.server.max_head_bytes,
            head_timeout_s=settings.server.head_timeout_s,
            idle_timeout_s=settings.server.idle_timeout_s,
            write_timeout_s=settings.server.write_timeout_s,
            max_unread_bytes=settings.limits.max_drained_bytes,
        )
    )


def _ready_line(services: "ServingServices", server: "uvicorn.Server") -> str:
    from app.api.routers.system import resident_bytes

    host, port = server.servers[0].sockets[0].getsockname()[:2]
    collections = services.index_sync.catalogue.collections()
    pictures = sum(collection.index.view().count for collection in collections)
    return (
        f"Lookalike is ready at http://{f'[{host}]' if ':' in host else host}:{port}"
        f" · model {services.settings.models.default_model} · {pictures:,} pictures"
        f" · {resident_bytes() / 1e6:,.0f} MB"
    )
