"""``lookalike train`` and ``evaluate``: models for one's own pictures.

The research wing is imported inside the commands: it needs the extra ``train``, and torch takes seconds to
load.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app.settings import Settings

SourceArgument = Annotated[
    str, typer.Argument(help="A folder or zip of <kind>/<picture>; or caltech101 or cifar10, found in --data.")
]
DataOption = Annotated[
    Path,
    typer.Option("--data", help="Folder with caltech101.zip and cifar10.zip.", exists=True, file_okay=False),
]
OutOption = Annotated[Path | None, typer.Option(help="Folder of artifacts; the service's own by default.")]


@contextmanager
def research_wing() -> Iterator[None]:
    """Show the log of long work, and say in one line what is missing or wrong."""
    logging.getLogger("app.learning").setLevel(logging.INFO)
    try:
        yield
    except ImportError as error:
        raise typer.BadParameter(f"{error.name} is not installed: run `make train-deps`") from error
    except (FileNotFoundError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error


def train(
    source: SourceArgument,
    *,
    name: Annotated[str, typer.Option(help="The model's name.")],
    method: Annotated[str, typer.Option(help="How the hash layer is fitted.")] = "itq",
    bits: Annotated[int, typer.Option(help="Code length, a multiple of 8 up to 512.")] = 256,
    encoder: Annotated[str, typer.Option(help="The pretrained encoder.")] = "efficientnet_lite2",
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    data: DataOption = Path(),
    out: OutOption = None,
) -> None:
    """Fit a model to pictures and write its artifact; a service offers it from its next start."""
    with research_wing():
        from app.learning.training.train import named_split, train_artifact  # noqa: PLC0415

        artifact = train_artifact(
            name,
            named_split(source, data),
            out or Settings().artifacts_dir,
            method=method,
            bits=bits,
            encoder=encoder,
            seed=seed,
        )
        typer.echo(f"{artifact.name}  {artifact.digest}")


def evaluate(
    model: Annotated[str, typer.Argument(help="A model's name.")],
    source: SourceArgument,
    data: DataOption = Path(),
) -> None:
    """Measure a model on labelled pictures and print the figures with their protocol as JSON."""
    with research_wing():
        from app.encoding.artifact import load_artifact  # noqa: PLC0415
        from app.encoding.encoder import OnnxEncoder  # noqa: PLC0415
        from app.learning.evaluation.artifacts import evaluate_encoder  # noqa: PLC0415
        from app.learning.training.train import named_split  # noqa: PLC0415

        encoder = OnnxEncoder(load_artifact(Settings().artifacts_dir / model))
        typer.echo(json.dumps(evaluate_encoder(encoder, named_split(source, data)), indent=2))
