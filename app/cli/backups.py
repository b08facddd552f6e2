"""``lookalike backup``, ``backups``, ``restore`` and ``verify``: jobs on the whole service."""

import asyncio
import json
from typing import Annotated, Any

import typer

from app.cli.target import KeyOption, UrlOption, open_target


def _start(url: str | None, key: str | None, kind: str, **fields: Any) -> None:
    async def run() -> dict[str, Any]:
        async with open_target(url, key) as client:
            return await client.start_job(kind, **fields)

    job = asyncio.run(run())
    typer.echo(job["id"])


def backup(
    *,
    copy_pictures: Annotated[
        bool, typer.Option("--copy-pictures", help="Copy the pictures' bytes too.")
    ] = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Have a worker back up the service; print the job's id, which is also the backup's id."""
    _start(url, key, "backup", copy_pictures=copy_pictures)


def verify(
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be repaired.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Read every file.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Have a worker check that database, codes and files agree; print the job's id."""
    _start(url, key, "verify", repair=repair, deep=deep)


def backups(*, url: UrlOption = None, key: KeyOption = None) -> None:
    """Print the backups of the service as JSON, newest first."""

    async def run() -> dict[str, Any]:
        async with open_target(url, key) as client:
            return await client.backups()

    typer.echo(json.dumps(asyncio.run(run()), indent=2))


def restore(
    backup_id: Annotated[str, typer.Argument(help="The backup's id, as listed.")],
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask.", prompt="Replace every collection by the backup's?")
    ],
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Have a worker restore a backup, replacing every collection; print the job's id."""
    if not yes:
        raise typer.Exit(1)

    async def run() -> dict[str, Any]:
        async with open_target(url, key) as client:
            return await client.restore(backup_id)

    typer.echo(asyncio.run(run())["id"])
