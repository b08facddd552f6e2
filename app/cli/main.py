"""Entry point of the ``lookalike`` command.

Each command imports what it needs when it runs; otherwise help and completion would wait seconds for NumPy,
SQLAlchemy, FastAPI and ONNX Runtime.
"""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from app import __version__
from app.cli.gallery import collections, images, words
from app.cli.gallery.compare import compare
from app.cli.gallery.demo import demo
from app.cli.gallery.different import different
from app.cli.gallery.duplicates import duplicates
from app.cli.gallery.export import export
from app.cli.gallery.index import index
from app.cli.gallery.search import search
from app.cli.models import group as models
from app.cli.models import research
from app.cli.models.training import evaluate, train
from app.cli.operations import backups, db, jobs, keys
from app.cli.operations.benchmark import benchmark
from app.cli.operations.doctor import doctor
from app.cli.operations.info import info
from app.cli.operations.show_settings import settings
from app.cli.serving.serve import serve
from app.cli.serving.worker import worker
from app.cli.terminal.command_group import CommandGroup

app = typer.Typer(
    cls=CommandGroup,
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
app.command()(compare)
app.command()(duplicates)
app.command()(different)
app.command()(export)
app.command()(demo)
app.command()(info)
app.command()(doctor)
app.command()(settings)
app.command()(benchmark)
app.command()(train)
app.command()(evaluate)
app.command()(backups.backup)
app.command()(backups.backups)
app.command()(backups.restore)
app.command()(backups.verify)
app.add_typer(collections.app, name="collections")
app.add_typer(images.app, name="images")
app.add_typer(models.app, name="models")
app.add_typer(research.app, name="research")
app.add_typer(db.app, name="db")
app.add_typer(jobs.app, name="jobs")
app.add_typer(keys.app, name="keys")
app.add_typer(words.app, name="words")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; print expected errors as one line on standard error.

    Args:
        arguments: The command line without the program's name; by default the process's own.
    """
    from app.cli.terminal.output import progress_note

    try:
        app(arguments, prog_name="lookalike")
    except Exception as error:
        from app.cli.terminal.exit_codes import explain

        expected = explain(error)
        if expected is None:
            raise
        sentence, exit_code = expected
        progress_note(sentence)
        sys.exit(exit_code)


if __name__ == "__main__":
    main()
