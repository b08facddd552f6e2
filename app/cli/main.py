"""Entry point of the ``lookalike`` command.

Each command imports what it needs when it runs: help and completion would otherwise wait seconds for NumPy,
SQLAlchemy, FastAPI and ONNX Runtime.
"""

import sys
from typing import Annotated

import typer

from app import __version__
from app.cli import backups, db, jobs, keys, models, research
from app.cli.demo import demo
from app.cli.duplicates import duplicates
from app.cli.index import index
from app.cli.info import info
from app.cli.learning import evaluate, train
from app.cli.search import search
from app.cli.serve import serve
from app.cli.show_settings import settings
from app.cli.worker import worker
from app.domain.errors import (
    DatabaseUnavailable,
    ForeignDatabase,
    LookalikeError,
    SchemaTooNew,
    UnknownModel,
)

app = typer.Typer(
    help="Find the pictures that look like yours.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"lookalike {__version__}")
        raise typer.Exit


@app.callback()
def _before_every_command(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Define the options of the command itself."""


app.command()(serve)
app.command()(worker)
app.command()(index)
app.command()(search)
app.command()(duplicates)
app.command()(demo)
app.command()(info)
app.command()(settings)
app.command()(train)
app.command()(evaluate)
app.command()(backups.backup)
app.command()(backups.backups)
app.command()(backups.restore)
app.command()(backups.verify)
app.add_typer(models.app, name="models")
app.add_typer(research.app, name="research")
app.add_typer(db.app, name="db")
app.add_typer(jobs.app, name="jobs")
app.add_typer(keys.app, name="keys")


def _explained(error: Exception) -> str | None:
    """Return one line on an expected error; None for an unexpected one."""
    from app.client import ServiceError
    from app.settings import Misconfigured, Settings

    what = str(error).rstrip(".")
    # Only startup raises UnknownModel: the service itself answers for models that commands name.
    if isinstance(error, UnknownModel):
        model = Settings().models.default_model
        error = Misconfigured("default_model", model, f"{what}; name a shipped model, or one trained here")
    elif isinstance(error, (DatabaseUnavailable, ForeignDatabase, SchemaTooNew)):
        remedy = {
            DatabaseUnavailable: "start the database, or name another",
            ForeignDatabase: "name an empty database, or one of Lookalike",
            SchemaTooNew: "upgrade Lookalike, or name another database",
        }[type(error)]
        error = Misconfigured("database_url", Settings().resolved_database_url, f"{what}; {remedy}")
    return str(error) if isinstance(error, (LookalikeError, ServiceError, Misconfigured)) else None


def main() -> None:
    """Run the command; print expected errors as one line on standard error."""
    try:
        app()
    except Exception as error:
        explained = _explained(error)
        if explained is None:
            raise
        typer.echo(f"lookalike: {explained}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
