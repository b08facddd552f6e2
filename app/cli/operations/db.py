"""``lookalike db``: migrate the database by hand."""

from typing import Annotated

import typer

from app.cli.terminal.command_group import CommandGroup
from app.cli.terminal.output import JsonOption, print_json
from app.cli.terminal.settings import read_database_settings

app = typer.Typer(cls=CommandGroup, help="Migrate the database.", no_args_is_help=True)


@app.command()
def upgrade(*, as_json: JsonOption = False) -> None:
    """Bring the database to the schema of this version."""
    from app.store.schema import migrate

    settings = read_database_settings()
    settings.storage.data_dir.mkdir(parents=True, exist_ok=True)
    url, migrations = settings.resolved_database_url, settings.database.migrations_dir
    migrate.upgrade(url, migrations)
    _print(migrate.current(url, migrations), as_json=as_json)


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="A revision, -1 for one step back, or base for no tables.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Return the database to an earlier schema; data of the later schema is lost."""
    from app.store.schema import migrate

    settings = read_database_settings()
    url, migrations = settings.resolved_database_url, settings.database.migrations_dir
    migrate.downgrade(url, migrations, revision)
    _print(migrate.current(url, migrations), as_json=as_json)


def _print(revision: str | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"revision": revision})
    else:
        typer.echo(f"the database is at {revision}")
