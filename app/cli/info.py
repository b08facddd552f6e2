"""``lookalike info``: describe a service or the local database."""

import asyncio
import json
from typing import Any

import typer

from app.cli.target import KeyOption, UrlOption, open_target


def info(*, url: UrlOption = None, key: KeyOption = None) -> None:
    """Print version, models, collections, memory and limits as JSON."""
    typer.echo(json.dumps(asyncio.run(_info(url, key)), indent=2))


async def _info(url: str | None, key: str | None) -> dict[str, Any]:
    async with open_target(url, key) as client:
        return await client.info()
