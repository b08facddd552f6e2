"""``lookalike train`` and ``evaluate``: models for your own pictures.

The commands import ``app.learning`` when they run, as it needs the extra ``train``,
and torch takes seconds to load.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.models.comparisons import comparison_lines
from app.cli.terminal.output import JsonOption, note, print_json, print_table
from app.cli.terminal.settings import read_settings

if TYPE_CHECKING:
    from app.encoding.artifact import Artifact
    from app.learning.training.end_to_end.loop import TrainingHistory

SourceArgument = Annotated[
    str,
    typer.Argument(
        help="A folder or zip of pictures, best sorted into <kind>/<picture>; or caltech101 or cifar10, found "
        "in --data."
    ),
]
DataOption = Annotated[
    Path,
    typer.Option("--data", help="Folder with caltech101.zip and cifar10.zip.", exists=True, file_okay=False),
]
UnlabelledOption = Annotated[
    str,
    typer.Option(
        "--unlabelled",
        help="Folder in SOURCE of pictures of unknown kind: learned from, not measured on.",
    ),
]
OutOption = Annotated[Path | None, typer.Option(help="Folder of artifacts; the service's own by default.")]


@contextmanager
def learning_ring() -> Iterator[None]:
    """Show the log of long work, and report missing packages and bad input in one line."""
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
        str | None,
        typer.Option(
            help="How the hash layer is fitted, diffusion_similarity by default; autoencoder and contrast "
            "train their own encoder."
        ),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(
            help="Code length, a multiple of 8 up to 512; by default 256, or the longest of 128, 64, 32 and 16 "
            "that is shorter than the number of pictures; 64 for autoencoder and contrast."
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="The pretrained encoder, efficientnet_lite2 by default; paper is trained from these pictures."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random choices.")] = 0,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Number of epochs of an iterative method; the method's own by default."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A setting of the method, such as modes=25; may be repeated."
        ),
    ] = None,
    wordnet: Annotated[
        float,
        typer.Option(
            min=0,
            max=2,
            help="Weight of what ImageNet's classifier sees, summed up along WordNet, beside the features; 0.5 "
            "finds more of broad kinds, such as animals and vehicles.",
        ),
    ] = 0.0,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ENCODER",
            help="A further pretrained encoder that helps to say which pictures are similar; the model does "
            "not contain it; may be repeated. For diffusion_similarity.",
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(min=1, help="Encoder paper: stop after this many epochs without a better held-out mAP."),
    ] = None,
    unlabelled: UnlabelledOption = "unlabelled",
    data: DataOption = Path(),
    out: OutOption = None,
    against: Annotated[
        str | None,
        typer.Option(help="Model in use, to compare with; the service's default model unless given."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fit a model to pictures and write its artifact; a service offers it from its next start.

    Kinds are optional: without them, edited copies serve as queries. A killed training resumes from its
    last epoch. Training the encoder paper runs in many processes under torchrun.
    """
    with learning_ring():
        from app.learning.datasets.training_splits import split_source
        from app.learning.training.end_to_end.distributed import join_ranks
        from app.learning.training.end_to_end.pipeline import RunOptions, checkpoint_path
        from app.learning.training.features.split_features import FeatureCache
        from app.learning.training.own_model import TrainingRequest, train_own_model

        service = read_settings()
        given = _parsed(settings or ())
        artifacts = service.models.artifacts_dir
        # Epochs are not among these options: a network with more of them resumes one with fewer.
        options = (bits, encoder, seed, patience, unlabelled, wordnet, teacher, sorted(given.items()))
        request = TrainingRequest(
            name,
            method=method,
            bits=bits,
            encoder=encoder,
            wordnet=wordnet,
            teachers=tuple(teacher or ()),
            epochs=epochs,
            seed=seed,
            settings=given,
        )
        with join_ranks() as here:
            run = RunOptions(
                checkpoint_path(service.storage.data_dir / "training", name, source, method, *options),
                patience,
                _print_epoch,
                here,
                cache=FeatureCache(service.storage.data_dir / "features"),
                shipped_dir=artifacts,
                in_use=_model_in_use(
                    artifacts, against or service.models.default_model, is_required=bool(against)
                ),
            )
            split = split_source(source, data, unlabelled)
            artifact = train_own_model(request, split, out or artifacts, run)
        if here.is_first and as_json:
            comparison = artifact.manifest.calibration.get("comparison")
            made = {"name": artifact.name, "bits": artifact.bits, "digest": artifact.digest}
            print_json(made | {"comparison": comparison})
        elif here.is_first:
            typer.echo(f"{artifact.name}  {artifact.digest}")
            for line in comparison_lines(artifact.manifest.calibration.get("comparison")):
                note(line)


def _model_in_use(artifacts: Path, name: str, *, is_required: bool) -> "Artifact | None":
    """Load the model to compare with; without an explicit name it may be missing."""
    from app.domain.errors import ArtifactRefused
    from app.encoding.artifact import load_artifact

    try:
        return load_artifact(artifacts / name)
    except ArtifactRefused as refused:
        if is_required:
            raise typer.BadParameter(refused.detail) from refused
        return None


def _parsed(settings: Iterable[str]) -> dict[str, Any]:
    """Parse settings given as ``NAME=VALUE``; all are numbers."""
    parsed: dict[str, Any] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        try:
            parsed[name] = float(value) if any(c in value for c in ".e") else int(value)
        except ValueError as error:
            raise typer.BadParameter(f"{setting!r} is not NAME=NUMBER") from error
    return parsed


def _print_epoch(history: "TrainingHistory", epochs: int) -> None:
    """Print one line per epoch, for logs of long training runs."""
    terms = ", ".join(f"{name} {value:.4f}" for name, value in history.terms[-1].items())
    held_out = f", held-out mAP {history.held_out[-1]:.4f}" if history.held_out else ""
    typer.echo(
        f"epoch {history.epochs} of {epochs}: {terms}, {history.distinct[-1]} codes{held_out}, "
        f"{history.seconds[-1]:.1f} s",
        err=True,
    )


def evaluate(
    model: Annotated[
        str | None, typer.Argument(help="A model's name; the service's default model unless given.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Argument(
            help="A folder or zip of pictures, best sorted into <kind>/<picture>; or caltech101 or cifar10, "
            "found in --data."
        ),
    ] = None,
    *,
    edits: Annotated[
        Path | None,
        typer.Option(
            help="A folder or zip of pictures: search it with edited copies, beside baselines.", exists=True
        ),
    ] = None,
    kinds: Annotated[
        Path | None,
        typer.Option(
            help="A folder or zip of <kind>/<picture>: search it with held-out pictures, beside baselines.",
            exists=True,
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            "--html", help="With --edits or --kinds: write a page with pictures of the worst failures."
        ),
    ] = None,
    unlabelled: UnlabelledOption = "unlabelled",
    data: DataOption = Path(),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON, precision-recall curves included.")
    ] = False,
) -> None:
    """Measure a model on pictures and print the figures with their protocol.

    With --edits or --kinds, measure it beside the encoder's float features, PDQ, pHash, dHash and a colour
    histogram.
    """
    if source is None and edits is None and kinds is None:
        raise typer.BadParameter("give a SOURCE after the model, or --edits FOLDER, or --kinds FOLDER")
    if source is not None and (edits is not None or kinds is not None):
        raise typer.BadParameter("give either a SOURCE, or --edits and --kinds")
    if page is not None and source is not None:
        raise typer.BadParameter("--html needs --edits or --kinds")
    with learning_ring():
        from app.domain.errors import ArtifactRefused
        from app.encoding.artifact import load_artifact

        settings = read_settings().models
        try:
            artifact = load_artifact(settings.artifacts_dir / (model or settings.default_model))
        except ArtifactRefused as refused:
            raise typer.BadParameter(refused.detail) from refused
        if source is None:
            _evaluate_folders(artifact, edits, kinds, page, as_json=as_json)
            return
        from app.encoding.encoder import OnnxEncoder
        from app.learning.datasets.training_splits import split_source
        from app.learning.evaluation.artifacts import evaluate_encoder
        from app.learning.evaluation.protocol import UNKNOWN

        seed = artifact.manifest.training.get("seed", UNKNOWN)
        found = evaluate_encoder(
            OnnxEncoder(artifact), split_source(source, data, unlabelled), training_seed=seed
        )
    if as_json:
        print_json(found)
    else:
        _print_evaluation(found)


def _evaluate_folders(
    artifact: "Artifact", edits: Path | None, kinds: Path | None, page: Path | None, *, as_json: bool
) -> None:
    """Measure a model on folders beside baselines; print one table a folder, and write the page."""
    from tempfile import TemporaryDirectory

    from app.learning.datasets.folder import load_pictures
    from app.learning.research.own_folders.measurement import measure_edits, measure_kinds
    from app.learning.research.own_folders.page import write_page
    from app.learning.research.own_folders.representations import Representations

    measured = []
    with TemporaryDirectory() as scratch:
        representations = Representations(artifact, Path(scratch))
        if kinds is not None:
            measured.append(measure_kinds(representations, load_pictures(kinds)))
        if edits is not None:
            measured.append(measure_edits(representations, load_pictures(edits)))
    if page is not None:
        write_page(page, artifact.name, measured)
    if as_json:
        print_json(
            {"model": artifact.name, "digest": artifact.digest, "measured": [m.as_dict() for m in measured]}
        )
        return
    for measurement in measured:
        protocol = measurement.protocol
        note(
            f"{measurement.title}: {protocol['queries']:,} queries, {protocol['gallery']:,} pictures of "
            f"{protocol['collection']}; {protocol['split']}"
        )
        keys = ("map", "precision_at_10", "recall_at_1")
        rows = [(row["method"], *(f"{row[key]:.3f}" for key in keys)) for row in measurement.rows]
        print_table((measurement.title.lower(), "mAP", "P@10", "recall@1"), rows)
    if page is not None:
        note(f"the page is in {page}")


def _print_evaluation(found: dict[str, Any]) -> None:
    """Print figures, precision by depth, use of the bits, and the protocol."""
    from rich.console import Console
    from rich.table import Table

    protocol, bits = found["protocol"], found["bits"]
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    precision = "  ".join(f"{k}: {p:.3f}" for k, p in found["precision_at"].items())
    for label, value in (
        ("model", f"{found['model']}, {found['code_length']} bits, digest {found['digest'][:16]}…"),
        ("mAP", f"{found['map_all']:.4f} ({found['map_worst']:.4f}–{found['map_best']:.4f} by order of ties)"),
        (
            "95 % interval",
            "mAP {:.4f}–{:.4f}, P@10 {:.4f}–{:.4f}, by bootstrap over queries".format(
                *found["map_interval"], *found["precision_at_10_interval"]
            ),
        ),
        ("mAP@1000", f"{found['map_at_1000']:.4f}"),
        ("precision at", precision),
        ("recall at", f"1: {found['recall_at_1']:.4f}  10: {found['recall_at_10']:.4f}"),
        ("radius 2", f"{found['radius_precision']:.4f} precision within Hamming distance 2"),
        ("codes", f"{bits['distinct']:,} distinct; {bits['collisions']:.1%} of the gallery share theirs"),
        ("bits", f"balance {bits['balance']:.3f}, correlation {bits['correlation']:.3f} (0 is best)"),
        ("gallery", f"{protocol['gallery']:,} pictures of {protocol['collection']}"),
        ("", f"sha256 {protocol['gallery_sha256']}"),
        (
            "queries",
            f"{protocol['queries']:,}; {protocol['queries_in_gallery']} are also in the gallery",
        ),
        ("", f"sha256 {protocol['queries_sha256']}"),
        ("split", protocol["split"]),
        ("relevant", protocol["relevant"]),
        ("ties", protocol["ties"]),
        ("training seed", str(protocol["training_seed"])),
        ("split seed", str(protocol["split_seed"])),
    ):
        table.add_row(label, value)
    Console().print(table)
