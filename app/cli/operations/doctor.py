"""``lookalike doctor``: find problems of a set-up, and say how to fix them."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import typer

from app.cli.terminal.exit_codes import ExitCode
from app.cli.terminal.output import JsonOption, print_json
from app.cli.terminal.target import KeyOption, UrlOption, check_key, check_url

if TYPE_CHECKING:
    from app.cli.operations.checks.finding import Finding

_COLOURS: Final = {"ok": "green", "warning": "yellow", "error": "red"}


def doctor(*, as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None) -> None:
    """Find problems of this set-up and say how to fix them; exit with 1 if there are errors.

    Looks at settings, folders, files of secrets, database, index engine, models, kernels, decoding, memory,
    clock, port and a running service, and changes nothing. With --url it looks at that service only.
    """
    check_key(key)
    if url is not None:
        check_url(url)
    findings = []
    for finding in _findings(url, key):
        findings.append(finding)
        if not as_json:
            _print(finding)
    errors = sum(finding.status == "error" for finding in findings)
    warnings = sum(finding.status == "warning" for finding in findings)
    if as_json:
        print_json({"ok": not errors, "findings": [asdict(finding) for finding in findings]})
    else:
        totals = ", ".join(
            f"{count} {word}{'' if count == 1 else 's'}"
            for count, word in ((errors, "error"), (warnings, "warning"))
            if count
        )
        typer.echo(totals or "all is well")
    raise typer.Exit(ExitCode.ITEMS_FAILED if errors else ExitCode.OK)


def _findings(url: str | None, key: str | None) -> "Iterator[Finding]":
    import asyncio

    from app.cli.operations.checks import configuration, installation, machine, servers, services
    from app.telemetry.logging import configure_logging

    configure_logging("console", "error")
    yield from configuration.check_version()
    if url is not None:
        yield from asyncio.run(services.check_remote(url, key))
        return
    settings, findings = configuration.check_settings()
    yield from findings
    yield from configuration.check_folders(settings)
    yield from configuration.check_secret_files(settings)
    yield from servers.check_schema(settings)
    yield from servers.check_engine(settings)
    yield from installation.check_models(settings)
    yield from asyncio.run(installation.check_text_towers(settings))
    yield from installation.check_kernels()
    yield from installation.check_decoding(settings)
    yield from machine.check_memory()
    yield from machine.check_clock()
    yield from asyncio.run(configuration.check_access(settings))
    yield from asyncio.run(services.check_service(settings, key))


def _print(finding: "Finding") -> None:
    from app.domain.texts import escaped

    status = f"{finding.status:<8}"
    if sys.stdout.isatty():
        status = typer.style(status, fg=_COLOURS[finding.status])
    typer.echo(f"{status} {finding.check:<9} {escaped(finding.detail)}")
    if finding.remedy is not None:
        typer.echo(f"{'':<18} → {escaped(finding.remedy)}")
