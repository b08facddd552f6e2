"""``lookalike models …``: build, add, compare and switch models."""

from typing import Annotated

import typer

from app.cli.models import switching
from app.cli.models.clip import add_clip
from app.cli.models.training import DataOption, OutOption, learning_ring
from app.cli.terminal.command_group import CommandGroup
from app.cli.terminal.output import JsonLinesOption, print_json_lines
from app.cli.terminal.settings import read_settings

app = typer.Typer(cls=CommandGroup, help="Build, add, list, compare and switch models.", no_args_is_help=True)
app.command("list")(switching.list_models)
for command in (
    switching.report,
    switching.reencode,
    switching.compare,
    switching.activate,
    switching.rollback,
    switching.prune,
):
    app.command()(command)
app.command("add-clip")(add_clip)


@app.command()
def build(
    name: Annotated[str, typer.Argument(help="A shipped model, such as lite2-256, built with its siblings.")],
    data: DataOption,
    out: OutOption = None,
    *,
    fp32: Annotated[bool, typer.Option("--fp32", help="Leave the encoder in float32.")] = False,
    as_json: JsonLinesOption = False,
) -> None:
    """Build a shipped model and its siblings from the data that its card names."""
    with learning_ring():
        from app.learning.training.shipped_models import build_shipped_models

        for artifact in build_shipped_models(
            name, data, out or read_settings().models.artifacts_dir, fp32=fp32
        ):
            if as_json:
                print_json_lines([{"name": artifact.name, "bits": artifact.bits, "digest": artifact.digest}])
            else:
                typer.echo(f"{artifact.name}  {artifact.digest}")
