"""``lookalike models add-clip``: make a model from exported encoders of pictures and texts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app.cli.terminal.output import JsonOption, note, print_json
from app.cli.terminal.settings import read_database_settings
from app.cli.terminal.target import CollectionOption

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from app.bootstrap import WorkerServices
    from app.encoding.artifact import Artifact
    from app.learning.clip.building import ClipRequest
    from app.learning.clip.exports import ClipExport

EXTRA: Final = "lookalike[clip]"
PACKAGES: Final = ("onnx", "safetensors", "tokenizers")
PAGE: Final = 1_000
REPORT_EVERY: Final = 500
"""Number of encoded pictures or texts between two lines of progress."""

Features = list["NDArray[np.float32]"]


def add_clip(
    export: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="An exported pair of encoders: visual/model.onnx, visual/preprocess_cfg.json, "
            "textual/model.onnx, textual/tokenizer.json, textual/tokenizer_config.json, config.json.",
        ),
    ],
    *,
    name: Annotated[
        str | None, typer.Option(help="The model's name; the folder's by default.", show_default=False)
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(
            help="Code length, a multiple of 8 up to 512; by default 256, or the longest of 128, 64, 32 and 16 "
            "that is shorter than the numbers of pictures and features.",
            show_default=False,
        ),
    ] = None,
    collection: CollectionOption = "default",
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="A folder or zip of pictures to fit to instead of the collection.",
            exists=True,
            show_default=False,
        ),
    ] = None,
    most: Annotated[
        int,
        typer.Option(
            "--most", min=17, help="Maximum number of pictures to fit to, evenly spaced in the collection."
        ),
    ] = 5_000,
    licence: Annotated[
        str, typer.Option(help="Licence of the exported weights, for the model's card.")
    ] = "not stated",
    as_json: JsonOption = False,
) -> None:
    """Make a model from an exported pair of encoders, such as CLIP's, and register it.

    Fits the hash layer to the pictures of the collection. Re-encode and activate it like any other model;
    searches by text use its text encoder.
    """
    import asyncio

    from app.domain.codes import check_bits
    from app.domain.errors import InvalidId
    from app.domain.ids import parse_name

    _check_packages()
    from app.learning.clip.building import ClipRequest
    from app.learning.clip.exports import BadExport, ClipExport

    try:
        request = ClipRequest(
            parse_name(name or export.resolve().name), None if bits is None else check_bits(bits), licence
        )
    except InvalidId as error:
        raise typer.BadParameter(error.detail, param_hint="--name") from error
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--bits") from error
    try:
        encoders = ClipExport(export)
    except BadExport as error:
        raise typer.BadParameter(str(error), param_hint="FOLDER") from error
    try:
        artifact, unread = asyncio.run(_add(request, encoders, collection, pictures, most))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    figures = artifact.manifest.calibration.get("text_tower", {})
    if as_json:
        made = {"name": artifact.name, "bits": artifact.bits, "digest": artifact.digest, "unread": unread}
        print_json(made | {"text_tower": figures})
        return
    typer.echo(f"{artifact.name}  {artifact.digest}")
    if unread:
        note(f"{unread:,} pictures could not be read and were left out")
    if figures:
        note(
            f"of the first ten pictures by float features, {figures['shared_of_first_ten']:.0%} are among the "
            f"first ten by codes of {artifact.bits} bits (mean over {figures['texts']:,} names)"
        )
    note(f"next: `lookalike models reencode {artifact.name}`, then `lookalike models activate {artifact.name}`")


def _check_packages() -> None:
    from importlib.util import find_spec

    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        names = " and ".join(missing)
        raise typer.BadParameter(f"{names} not installed: run `pip install '{EXTRA}'`", param_hint="add-clip")


async def _add(
    request: "ClipRequest", export: "ClipExport", collection: str, pictures: Path | None, most: int
) -> tuple["Artifact", int]:
    """Build and register the model; return it, and the number of pictures that could not be read."""
    import tempfile
    from contextlib import suppress

    import numpy as np

    from app.bootstrap import open_worker
    from app.domain.errors import ModelExists, UnknownModel
    from app.learning.clip.building import build_clip_artifact

    settings = read_database_settings()
    async with open_worker(settings) as services:
        with suppress(UnknownModel):
            await services.models.report(request.name)
            raise ModelExists(f"there is a model named {request.name!r} already; choose another --name")
        if pictures is not None:
            features, data = _features_of_folder(export, pictures, most)
            unread = 0
        else:
            features, unread, data = await _features_of_collection(services, export, collection, most)
        if not features:
            raise ValueError("there are no pictures to fit to: add some, or name a folder with --pictures")
        with tempfile.TemporaryDirectory() as scratch:
            artifact = build_clip_artifact(
                request, export, np.stack(features), [data], Path(scratch), on_step=_progress("names")
            )
            await services.models.publish(artifact)
        return artifact, unread


def _features_of_folder(export: "ClipExport", path: Path, most: int) -> tuple[Features, dict[str, Any]]:
    import numpy as np

    from app.learning.datasets.folder import load_pictures

    found = load_pictures(path)
    rows = _evenly_spaced(len(found), most)
    report, features = _progress("pictures"), []
    for i, row in enumerate(rows, 1):
        features.append(export.picture_features(found.pixels(row)))
        report(i, len(rows))
    chosen = found.subset(np.array(rows, np.int64))
    return features, _data(found.name, len(features)) | {"sha256": chosen.checksum()}


async def _features_of_collection(
    services: "WorkerServices", export: "ClipExport", collection: str, most: int
) -> tuple[Features, int, dict[str, Any]]:
    import asyncio

    from app.domain.errors import FetchFailed, PictureGone, PictureRefused, UnknownCollection, UrlNotAllowed

    async with services.database.read() as unit:
        record = await unit.collections.get(collection)
        if record is None:
            raise UnknownCollection(f"there is no collection named {collection!r}")
        count = await unit.images.count(record.pk)
    chosen, report = set(_evenly_spaced(count, most)), _progress("pictures")
    features: Features = []
    unread, seen, after = 0, 0, -1
    while True:
        async with services.database.read() as unit:
            page = await unit.images.page(record.pk, after, PAGE)
        for image in (one for i, one in enumerate(page, seen) if i in chosen):
            try:
                _, decoded = await services.coder.decode(await services.reencoding.content(image))
            except (PictureGone, PictureRefused, UrlNotAllowed, FetchFailed):
                unread += 1
                continue
            features.append(await asyncio.to_thread(export.picture_features, decoded.pixels))
            report(len(features), len(chosen))
        seen += len(page)
        if len(page) < PAGE:
            return features, unread, _data(collection, len(features))
        after = page[-1].number


def _data(collection: str, pictures: int) -> dict[str, Any]:
    return {"collection": collection, "part": "stored pictures", "pictures": pictures}


def _evenly_spaced(count: int, most: int) -> list[int]:
    """Return at most ``most`` of the numbers below ``count``."""
    chosen = min(count, most)
    return [i * count // chosen for i in range(chosen)]


def _progress(kind: str) -> Any:
    def report(done: int, total: int) -> None:
        if done % REPORT_EVERY == 0:
            note(f"encoded {done:,} of {total:,} {kind}")

    return report
