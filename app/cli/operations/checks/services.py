"""Check the services that run here or at an address."""

from typing import Final

from app import __version__
from app.cli.operations.checks.finding import Finding, misconfigured
from app.cli.serving.ports import check_address
from app.cli.terminal.service_record import running_services, stale_records
from app.settings import Misconfigured, Settings
from lookalike_client import AsyncClient, ServiceError

PROBE_S: Final = 10.0


async def check_service(settings: Settings, key: str | None) -> list[Finding]:
    """Check the services that run on the data folder; without one, that the port is free."""
    findings = [
        Finding(
            "service",
            "warning",
            f"{path} was left by a service that was killed",
            "nothing to do: the next start removes it",
        )
        for path in stale_records(settings.storage.data_dir)
    ]
    running = running_services(settings.storage.data_dir)
    for service in running:
        where = f"{service.url} (pid {service.pid})"
        if service.version != __version__:
            detail = f"{where} runs version {service.version}, this is {__version__}"
            findings.append(Finding("service", "warning", detail, "restart the service"))
        async with AsyncClient(service.url, key=key or "", timeout_s=PROBE_S, retries=0) as client:
            findings += await _look_at(client, where)
    if not running:
        try:
            check_address(settings.server.host, settings.server.port)
        except Misconfigured as error:
            findings.append(misconfigured("port", error))
        else:
            findings.append(Finding("port", "ok", f"{settings.server.host}:{settings.server.port} is free"))
        findings.append(Finding("service", "ok", "none runs on the data folder; `lookalike serve` starts one"))
    return findings


async def check_remote(url: str, key: str | None) -> list[Finding]:
    """Check the service at an address."""
    async with AsyncClient(url, key=key or "", timeout_s=PROBE_S, retries=0) as client:
        return await _look_at(client, url)


async def _look_at(client: AsyncClient, where: str) -> list[Finding]:
    try:
        info = await client.get_info()
    except ServiceError as error:
        return [_no_answer(where, error)]
    findings = [Finding("service", "ok", f"{where} answers: version {info.version}, {info.images:,} pictures")]
    if info.starting is not None:
        detail = f"{where} is starting ({info.starting.phase})"
        findings.append(Finding("service", "warning", detail, "wait until it prints that it is ready"))
    return findings + await _without_worker(client)


async def _without_worker(client: AsyncClient) -> list[Finding]:
    """Return a warning if no worker runs; nothing if the key may not ask."""
    try:
        processes = (await client.get_system()).processes
    except ServiceError:
        return []
    if any(process.kind == "worker" for process in processes):
        return []
    remedy = "start `lookalike worker`, or the service with --worker"
    return [Finding("worker", "warning", "no worker runs: imports, backups and training wait", remedy)]


def _no_answer(where: str, error: ServiceError) -> Finding:
    if error.status == 401:
        return Finding(
            "service", "warning", f"{where} needs a key: {error.detail}", "set LOOKALIKE_KEY to a valid key"
        )
    if error.status == 0:
        remedy = "start the service, correct the address (LOOKALIKE_URL), or look for a firewall in between"
        return Finding("service", "error", error.detail, remedy)
    return Finding(
        "service", "error", f"{where} answers with {error.status}: {error.detail}", "see the service's log"
    )
