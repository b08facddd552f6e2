"""``lookalike research``: rerun the paper."""

import json
from pathlib import Path
from typing import Annotated

import typer

from app.cli.models.training import DataOption, learning_ring
from app.cli.terminal.command_group import CommandGroup

app = typer.Typer(cls=CommandGroup, help="Rerun the paper's experiments.", no_args_is_help=True)


@app.command()
def paper(
    data: DataOption,
    *,
    out: Annotated[
        Path, typer.Option(help="Folder of results and the report; another run continues from them.")
    ] = Path("paper"),
    quick: Annotated[bool, typer.Option("--quick", help="A thousand pictures and two epochs.")] = False,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Maximum epochs of the paper's network; the paper's 100 by default."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds that figures are averaged over.")] = 3,
    pictures: Annotated[
        int | None, typer.Option(min=500, help="Maximum gallery pictures of a collection; all by default.")
    ] = None,
    bits: Annotated[
        list[int] | None,
        typer.Option(min=8, max=256, help="Code length of Tables I and II; repeat it. 16 to 256 by default."),
    ] = None,
    reading: Annotated[
        list[str] | None, typer.Option(help="Reading of the paper's loss; repeat it. All by default.")
    ] = None,
    quantisation_weight: Annotated[
        float | None, typer.Option(min=0, help="λ, which weighs sums over pixels and bits; .1 by default.")
    ] = None,
    label_draws: Annotated[
        int | None, typer.Option(min=1, help="Draws of labelled pictures in Table IV; 10 by default.")
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(
            help="Part to run; may be repeated: methods, labels, networks or times. All by default. Processes "
            "with different parts can share a folder."
        ),
    ] = None,
    only_finished: Annotated[
        bool, typer.Option("--only-finished", help="Report existing results; run nothing.")
    ] = False,
) -> None:
    """Run Tables I to V on both data sets, cell by cell, and write the report as Markdown and HTML."""
    with learning_ring():
        from app.learning.research.paper import PaperRun, parts_called, run_paper
        from app.learning.research.readings import readings_called

        options = PaperRun(
            quick=quick,
            epochs=epochs,
            seeds=seeds,
            pictures=pictures,
            bits=tuple(bits or ()),
            readings=readings_called(reading or ()),
            quantisation_weight=quantisation_weight,
            label_draws=label_draws,
            parts=() if only_finished else parts_called(part or ()),
        )
        typer.echo(run_paper(data, out, options))


@app.command()
def features(
    folder: Annotated[
        Path,
        typer.Argument(help="Folder with gallery.npy, gallery_labels.npy, queries.npy, query_labels.npy."),
    ],
    method: Annotated[str, typer.Option(help="The hash method.")] = "itq",
    bits: Annotated[int, typer.Option(help="Code length, a multiple of 8 up to 512.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
) -> None:
    """Fit a hash method to features of any origin; print its figures and those of the features as JSON."""
    with learning_ring():
        from app.learning.research.precomputed import evaluate_precomputed

        typer.echo(json.dumps(evaluate_precomputed(folder, method, bits, seed), indent=2))
