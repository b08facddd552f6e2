"""``lookalike train`` and ``evaluate``: models for one's own pictures.

The research wing is imported inside the commands: it needs the extra ``train``, and torch takes seconds to
load.
"""

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.settings import read_settings

if TYPE_CHECKING:
    from app.learning.training.trainer import History

SourceArgument = Annotated[
    str, typer.Argument(help="A folder or zip of <kind>/<picture>; or caltech101 or cifar10, found in --data.")
]
DataOption = Annotated[
    Path,
    typer.Option("--data", help="Folder with caltech101.zip and cifar10.zip.", exists=True, file_okay=False),
]
UnlabelledOption = Annotated[
    str,
    typer.Option(
        "--unlabelled",
        help="Folder in SOURCE of pictures whose kind is not known: learned from, not measured on.",
    ),
]
OutOption = Annotated[Path | None, typer.Option(help="Folder of artifacts; the service's own by default.")]


@contextmanager
def research_wing() -> Iterator[None]:
    """Show the log of long work, and say in one line what is missing or wrong."""
    from app.telemetry.logging import configure_logging

    configure_logging("console", "warning")
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
    method: Annotated[
        str, typer.Option(help="How the hash layer is fitted; autoencoder or contrast for the encoder paper.")
    ] = "itq",
    bits: Annotated[int, typer.Option(help="Code length, a multiple of 8 up to 512.")] = 256,
    encoder: Annotated[
        str, typer.Option(help="The pretrained encoder; or paper, which is trained from these pictures.")
    ] = "efficientnet_lite2",
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of methods that learn step by step; theirs by default.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A setting of the method, such as modes=25; may be repeated."
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(min=1, help="Encoder paper: stop after so many epochs without a better held-out mAP."),
    ] = None,
    unlabelled: UnlabelledOption = "unlabelled",
    data: DataOption = Path(),
    out: OutOption = None,
) -> None:
    """Fit a model to pictures and write its artifact; a service offers it from its next start.

    Training the encoder paper goes on after a kill from its last epoch, and runs in many processes by torchrun.
    """
    with research_wing():
        from app.learning.training.distributed import ranks
        from app.learning.training.make_network import Run, checkpoint_path
        from app.learning.training.train import named_split, train_artifact

        service = read_settings()
        given = _parsed(settings or ())
        # Without the epochs: more of them go on from where fewer ended.
        what = (name, source, method, bits, encoder, seed, patience, unlabelled, sorted(given.items()))
        given |= {} if epochs is None else {"epochs": epochs}
        with ranks() as here:
            run = Run(checkpoint_path(service.data_dir / "training", *what), patience, _tell, here)
            artifact = train_artifact(
                name,
                named_split(source, data, unlabelled),
                out or service.artifacts_dir,
                method=method,
                bits=bits,
                encoder=encoder,
                seed=seed,
                run=run,
                **given,
            )
        if here.is_first:
            typer.echo(f"{artifact.name}  {artifact.digest}")


def _parsed(settings: Iterable[str]) -> dict[str, Any]:
    """Settings given as ``NAME=VALUE``; every method's are numbers."""
    parsed: dict[str, Any] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        try:
            parsed[name] = float(value) if any(c in value for c in ".e") else int(value)
        except ValueError as error:
            raise typer.BadParameter(f"{setting!r} is not NAME=NUMBER") from error
    return parsed


def _tell(history: "History") -> None:
    """One line an epoch; a log outlives the terminal where training for days was started."""
    terms = ", ".join(f"{name} {value:.4f}" for name, value in history.terms[-1].items())
    held_out = f", held-out mAP {history.held_out[-1]:.4f}" if history.held_out else ""
    typer.echo(
        f"epoch {history.epochs}: {terms}, {history.distinct[-1]} codes{held_out}, {history.seconds[-1]:.1f} s",
        err=True,
    )


def evaluate(
    model: Annotated[str, typer.Argument(help="A model's name.")],
    source: SourceArgument,
    *,
    unlabelled: UnlabelledOption = "unlabelled",
    data: DataOption = Path(),
) -> None:
    """Measure a model on labelled pictures and print the figures with their protocol as JSON."""
    with research_wing():
        from app.encoding.artifact import load_artifact
        from app.encoding.encoder import OnnxEncoder
        from app.learning.evaluation.artifacts import evaluate_encoder
        from app.learning.evaluation.protocol import UNKNOWN
        from app.learning.training.train import named_split

        artifact = load_artifact(read_settings().artifacts_dir / model)
        seed = artifact.manifest.training.get("seed", UNKNOWN)
        found = evaluate_encoder(
            OnnxEncoder(artifact), named_split(source, data, unlabelled), training_seed=seed
        )
        typer.echo(json.dumps(found, indent=2))
