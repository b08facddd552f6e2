"""``lookalike db``: migrate the database by hand."""

from typing import Annotated

import typer

from app.cli.settings import read_database_settings

app = typer.Typer(help="Migrate the database.", no_args_is_help=True)


@app.command()
def upgrade() -> None:
    """Bring the database to the schema of this version."""
    from app.store import migrate

    settings = read_database_settings()
    settings.storage.data_dir.mkdir(parents=True, exist_ok=True)
    url, migrations = settings.resolved_database_url, settings.database.migrations_dir
    migrate.upgrade(url, migrations)
    typer.echo(f"the database is at {migrate.current(url, migrations)}")


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="A revision, -1 for one step back, or base for no tables.")],
) -> None:
    """Return the database to an earlier schema; data of the later schema is lost."""
    from app.store import migrate

    settings = read_database_settings()
    url, migrations = settings.resolved_database_url, settings.database.migrations_dir
    migrate.downgrade(url, migrations, revision)
    typer.echo(f"the database is at {migrate.current(url, migrations)}")
