"""``lookalike demo``: load the sample gallery or a real collection."""

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.gallery.index import add_paths
from app.cli.terminal.output import JsonOption
from app.cli.terminal.settings import read_settings
from app.cli.terminal.target import CollectionOption, KeyOption, UrlOption, open_target

if TYPE_CHECKING:
    from app.cli.gallery.pictures import ReadFile
    from lookalike_client import NewPicture


def demo(
    *,
    dataset: Annotated[
        str,
        typer.Option(help="sample, a folder or zip of <class>/<picture>, caltech101 or cifar10 (downloaded)."),
    ] = "sample",
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of pictures to add.")] = None,
    collection: CollectionOption = "default",
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Add the sample gallery, or a collection to try the service with."""
    path = Path(dataset)
    if dataset != "sample" and path.exists():
        add_paths(
            [path],
            collection=collection,
            on_duplicate="skip",
            label=True,
            split=path.is_file(),
            limit=limit,
            as_json=as_json,
            url=url,
            key=key,
        )
    from app.cli.gallery.adding import Report, add_all, finish

    files = _samples() if dataset == "sample" else _downloaded(dataset)
    report = Report()

    async def run() -> None:
        async with open_target(url, key) as client:
            await add_all(
                client,
                itertools.islice(files, limit),
                total=limit,
                collection=collection,
                on_duplicate="skip",
                report=report,
            )

    finish(run, report, as_json=as_json)


def _ready(file: "NewPicture") -> "NewPicture":
    return file


def _samples() -> "Iterator[ReadFile]":
    from app.samples import samples
    from lookalike_client import NewPicture

    for sample in samples():
        name = sample.uri.rpartition("/")[2]
        file = NewPicture(
            sample.read(), id=sample.image_id, uri=sample.uri, metadata=sample.metadata, name=name
        )
        yield partial(_ready, file)


def _downloaded(dataset: str) -> "Iterator[ReadFile]":
    from app.learning.datasets.download import downloaded_pictures
    from lookalike_client import NewPicture

    try:
        for picture in downloaded_pictures(dataset, read_settings().storage.data_dir / "datasets"):
            metadata = {"label": picture.kind}
            file = NewPicture(picture.content, uri=picture.name, metadata=metadata, name=picture.name)
            yield partial(_ready, file)
    except ImportError as error:
        raise typer.BadParameter("downloading needs torchvision: `make train-deps`") from error
    except ValueError as error:
        raise typer.BadParameter(f"{error}, and no folder or archive", param_hint="--dataset") from error
