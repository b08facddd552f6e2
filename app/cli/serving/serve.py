"""``lookalike serve``: run the HTTP service."""

import math
import os
import socket
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.serving.heap import return_large_blocks
from app.cli.serving.parent import when_stdin_ends
from app.cli.serving.ports import BACKLOG, check_address
from app.cli.serving.startup import ExplainedStart
from app.cli.serving.uncollected_imports import uncollected_imports
from app.cli.terminal.service_record import RunningService, ServiceRecord
from app.cli.terminal.settings import log_database, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    import uvicorn

    from app.api.connections import Connections
    from app.bootstrap import ServingServices
    from app.cli.serving.worker_process import WorkerProcess
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
    processes: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Number of serving processes on the address.", show_default="1"),
    ] = None,
    listen_on: Annotated[
        int | None, typer.Option(help="Descriptor of a bound socket from the parent process.", hidden=True)
    ] = None,
    load_first: Annotated[
        bool, typer.Option("--load-first", help="Accept connections once the indexes are loaded.", hidden=True)
    ] = False,
) -> None:
    """Run the service; it migrates its database and loads its index first."""
    from app.cli.serving.metrics_files import METRICS_DIR, metrics_folder

    given = {"host": host, "port": port, "insecure": insecure or None, "processes": processes}
    settings = read_settings().replace(**{k: v for k, v in given.items() if v is not None})
    count = 1 if listen_on is not None else settings.server.processes
    if count == 1 and not with_worker:
        _serve(settings, count, {}, samples=samples, listen_on=listen_on, load_first=load_first)
        return
    with metrics_folder() as folder:
        if count == 1:
            # Before the metrics library is imported, so that this process shares the files with its worker.
            os.environ[METRICS_DIR] = str(folder)
        _serve(settings, count, {METRICS_DIR: str(folder)}, samples=samples, with_worker=with_worker)


def _serve(
    settings: "Settings",
    count: int,
    environment: "Mapping[str, str]",
    *,
    samples: bool,
    with_worker: bool = False,
    listen_on: int | None = None,
    load_first: bool = False,
) -> None:
    with uncollected_imports():
        from app.bootstrap import make_folders
    from app.cli.serving.serve_processes import run_processes
    from app.cli.serving.worker_process import WorkerProcess
    from app.telemetry.logging import configure_logging

    configure_logging(settings.telemetry.log_format, settings.telemetry.log_level)
    log_database(settings)
    # Before the server starts, which would log a failure with a traceback.
    make_folders(settings)
    if listen_on is None:
        _check_start(settings)
    worker = WorkerProcess(environment) if with_worker else None
    record = ServiceRecord(settings.storage.data_dir)
    if count > 1:
        address = settings.server.host
        status = run_processes(
            address,
            settings.server.port,
            count,
            ["--host", address, *(["--insecure"] if settings.access.insecure else [])],
            ["--samples"] if samples else [],
            # The children that decode are counted for the whole service.
            {
                **environment,
                "LOOKALIKE_DECODE_CHILDREN": str(math.ceil(settings.decoding.decode_children / count)),
            },
            worker,
            lambda listener: record.write(_running_service(settings, listener)),
        )
        record.remove()
        raise typer.Exit(status)
    serve_alone(
        settings,
        samples=samples,
        worker=worker,
        listen_on=listen_on,
        load_first=load_first,
        # The process that started this one keeps the record of all its processes.
        record=record if listen_on is None else None,
    )


def _check_start(settings: "Settings") -> None:
    """Refuse a start that would expose the service without a key, or that cannot listen.

    Raises:
        Misconfigured: Others could use the service without a key, or the service cannot listen on its address.
    """
    import asyncio

    from app.bootstrap import active_key_exists
    from app.settings import Misconfigured

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


def _running_service(settings: "Settings", listener: socket.socket) -> RunningService:
    from app.store.engine import describe_url

    host, port = listener.getsockname()[:2]
    # `check_database` would read the file, and so drop the locks on it.
    return RunningService.here(host, port, describe_url(settings.resolved_database_url))


async def _bound_socket(server: "uvicorn.Server") -> socket.socket:
    import asyncio

    # Loading may be faster than uvicorn, which has no event for this.
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    bound: socket.socket = server.servers[0].sockets[0]
    return bound


def serve_alone(
    settings: "Settings",
    *,
    samples: bool,
    worker: "WorkerProcess | None",
    listen_on: int | None,
    load_first: bool,
    record: ServiceRecord | None = None,
) -> None:
    """Serve in this process until a signal comes.

    Args:
        settings: The settings.
        samples: Whether to add the sample gallery on the first start.
        worker: A worker to keep beside this process.
        listen_on: Descriptor of a bound socket that the parent process passed; with it, the process ends when
            its standard input does.
        load_first: Whether to accept connections only when the indexes are loaded, as a replacement does.
        record: Where to record the address, for commands; None for a process that another one has started.
    """
    import asyncio

    return_large_blocks()
    with uncollected_imports():
        import uvicorn

        from app.api.app import create_app

    server: uvicorn.Server
    listener = None if listen_on is None else socket.socket(fileno=listen_on)

    async def on_ready(services: "ServingServices") -> None:
        bound = listener or await _bound_socket(server)
        if record is not None:
            record.write(_running_service(settings, bound))
        if samples:
            await services.sample_gallery.add_on_first_start()
        typer.echo(_ready_line(services, bound), err=False)
        sys.stdout.flush()
        if worker is not None:
            worker.start()

    async def on_stop() -> None:
        if record is not None:
            record.remove()
        if worker is not None:
            await asyncio.to_thread(worker.stop)

    app = ExplainedStart(
        create_app(
            settings,
            on_ready=on_ready,
            on_stop=on_stop,
            is_stopping=lambda: server.should_exit,
            load_first=load_first,
        )
    )
    server = _server(_uvicorn_config(app, settings), record)
    if listener is not None:
        when_stdin_ends(lambda: setattr(server, "should_exit", True))
    _run_until_stopped(server, listener, app)


def _server(config: "uvicorn.Config", record: ServiceRecord | None) -> "uvicorn.Server":
    """Return a server that removes its record before its port is free.

    Another program could listen there while the last requests are answered, and be sent the keys of commands.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            if record is not None:
                record.remove()
            await super().shutdown(sockets)

    return Server(config)


def _run_until_stopped(server: "uvicorn.Server", listener: socket.socket | None, app: ExplainedStart) -> None:
    try:
        server.run(None if listener is None else [listener])
    except SystemExit:  # uvicorn's, of a start that failed
        if app.error is None:
            raise
    if app.error is not None:
        raise app.error


def _uvicorn_config(app: ExplainedStart, settings: "Settings") -> "uvicorn.Config":
    import uvicorn

    return uvicorn.Config(
        app,
        host=settings.server.host,
        port=settings.server.port,
        log_config=None,
        access_log=False,
        server_header=False,
        # The application reads them itself, and more of them.
        proxy_headers=False,
        http=_connections(settings).protocol(),
        ws="none",
        backlog=BACKLOG,
        timeout_keep_alive=math.ceil(settings.server.idle_timeout_s),
        timeout_graceful_shutdown=10,
    )


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
        ),
        cors_origins=settings.access.cors_origins,
    )


def _ready_line(services: "ServingServices", listener: socket.socket) -> str:
    from app.telemetry.process import resident_bytes

    host, port = listener.getsockname()[:2]
    collections = services.index_sync.catalogue.collections()
    pictures = sum(collection.index.view().count for collection in collections)
    return (
        f"Lookalike is ready at http://{f'[{host}]' if ':' in host else host}:{port}"
        f" · model {services.settings.models.default_model} · {pictures:,} pictures"
        f" · {resident_bytes() / 1e6:,.0f} MB"
    )
