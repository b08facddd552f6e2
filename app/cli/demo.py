"""``lookalike demo``: load the sample gallery or a real collection."""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.settings import read_settings
from app.cli.target import CollectionOption, KeyOption, UrlOption, open_target

if TYPE_CHECKING:
    from rich.console import Console

    from app.cli.adding import Report
    from app.client import FileToAdd


def demo(
    *,
    dataset: Annotated[
        str,
        typer.Option(help="sample, a folder or zip of <class>/<picture>, caltech101 or cifar10 (downloaded)."),
    ] = "sample",
    limit: Annotated[int | None, typer.Option(min=1, help="Most pictures to add.")] = None,
    collection: CollectionOption = "default",
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Add the sample gallery, or a collection to try the service with."""
    from app.cli.adding import print_report
    from app.cli.output import make_console

    console = make_console(stderr=True)
    files = itertools.islice(_files(dataset), limit)
    report = asyncio.run(_demo(files, limit, collection, url, key, console))
    print_report(report, console)
    raise typer.Exit(1 if report.failures else 0)


async def _demo(
    files: "Iterable[Callable[[], FileToAdd]]",
    limit: int | None,
    collection: str,
    url: str | None,
    key: str | None,
    console: "Console",
) -> "Report":
    from app.cli.adding import add_all

    async with open_target(url, key) as client:
        return await add_all(
            client, files, total=limit, collection=collection, on_duplicate="skip", console=console
        )


def _files(dataset: str) -> "Iterator[Callable[[], FileToAdd]]":
    from app.cli.pictures import find_pictures, pictures_in_zip

    path = Path(dataset)
    if dataset == "sample":
        yield from (partial(_ready, file) for file in _samples())
    elif path.is_dir():
        yield from (picture.read for picture in find_pictures([path]))
    elif path.is_file():
        yield from pictures_in_zip(path)
    else:
        yield from (partial(_ready, file) for file in _downloaded(dataset))


def _ready(file: "FileToAdd") -> "FileToAdd":
    return file


def _samples() -> "Iterator[FileToAdd]":
    from app.client import FileToAdd
    from app.samples import samples

    for sample in samples():
        name = sample.uri.rpartition("/")[2]
        yield FileToAdd(name, sample.read(), image_id=sample.image_id, uri=sample.uri, metadata=sample.metadata)


def _downloaded(dataset: str) -> "Iterator[FileToAdd]":
    from app.client import FileToAdd
    from app.learning.datasets.download import downloaded_pictures

    try:
        for picture in downloaded_pictures(dataset, read_settings().storage.data_dir / "datasets"):
            metadata = {"label": picture.kind}
            yield FileToAdd(picture.name, picture.content, uri=picture.name, metadata=metadata)
    except ImportError as error:
        raise typer.BadParameter("downloading needs torchvision: `make train-deps`") from error
    except ValueError as error:
        raise typer.BadParameter(f"{error}, nor a folder or zip", param_hint="--dataset") from error
