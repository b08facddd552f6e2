"""``lookalike snapshot``, ``snapshots``, ``restore`` and ``verify``: jobs on the whole service."""

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


def snapshot(
    *,
    copy_pictures: Annotated[
        bool, typer.Option("--copy-pictures", help="Copy the pictures' bytes too.")
    ] = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Have a worker take a snapshot of the service; prints the job's id, which becomes the snapshot's."""
    _start(url, key, "snapshot", copy_pictures=copy_pictures)


def verify(
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be repaired.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Read every file.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Have a worker look whether database, codes and files agree; prints the job's id."""
    _start(url, key, "verify", repair=repair, deep=deep)


def snapshots(*, url: UrlOption = None, key: KeyOption = None) -> None:
    """Print the snapshots of the service as JSON, the newest first."""

    async def run() -> dict[str, Any]:
        async with open_target(url, key) as client:
            return await client.snapshots()

    typer.echo(json.dumps(asyncio.run(run()), indent=2))


def restore(
    snapshot_id: Annotated[str, typer.Argument(help="The snapshot's id, as listed.")],
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask.", prompt="Replace every collection by the snapshot's?")
    ],
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Have a worker put a snapshot in the place of every collection; prints the job's id."""
    if not yes:
        raise typer.Exit(1)

    async def run() -> dict[str, Any]:
        async with open_target(url, key) as client:
            return await client.restore(snapshot_id)

    typer.echo(asyncio.run(run())["id"])
