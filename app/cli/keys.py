"""``lookalike keys``: create, list and revoke keys."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from app.cli.settings import read_database_settings
from app.domain.access import Scope

if TYPE_CHECKING:
    from app.services.access.keys import Keys

app = typer.Typer(help="Create, list and revoke keys.", no_args_is_help=True)
T = TypeVar("T")


def _with_keys(work: "Callable[[Keys], Awaitable[T]]") -> T:
    from app.bootstrap import open_database
    from app.services.access.keys import Keys

    async def run() -> T:
        async with open_database(read_database_settings()) as database:
            return await work(Keys(database))

    return asyncio.run(run())


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[Scope, typer.Option(help="What it may do.")] = Scope.SEARCH,
) -> None:
    """Create a key and print it; it cannot be shown again."""
    from app.cli.output import make_console

    made = _with_keys(lambda keys: keys.create(name, scope))
    make_console(stderr=True).print(f"key {made.record.id} for {name!r} with scope {scope.value}:")
    typer.echo(made.text)


@app.command("list")
def list_keys() -> None:
    """List every key, including revoked ones."""
    from rich.table import Table

    from app.cli.output import add_row, make_console

    table = Table("id", "name", "begins with", "scope", "made", "last used", "revoked")
    for key in _with_keys(lambda keys: keys.list()):
        times = (_shown(moment) for moment in (key.created_at, key.last_used_at, key.revoked_at))
        add_row(table, key.id, key.name, key.prefix, key.scope.value, *times)
    make_console().print(table)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id, as listed.")]) -> None:
    """Revoke a key; running services refuse it within a second."""
    _with_keys(lambda keys: keys.revoke(key_id))
    typer.echo(f"key {key_id} is revoked")


def _shown(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
