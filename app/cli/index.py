"""``lookalike index``: add pictures."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.target import CollectionOption, KeyOption, UrlOption, open_target
from app.domain.duplicates import OnDuplicate

if TYPE_CHECKING:
    from rich.console import Console

    from app.cli.adding import Report
    from app.cli.pictures import FoundPicture


def index(
    paths: Annotated[list[Path], typer.Argument(help="Pictures and folders.", exists=True)],
    *,
    collection: CollectionOption = "default",
    on_duplicate: Annotated[
        OnDuplicate, typer.Option(help="What to do with a picture whose id is already stored.")
    ] = OnDuplicate.SKIP,
    label: Annotated[bool, typer.Option(help="Whether a folder's name becomes its pictures' label.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Add pictures and folders of pictures; running it again adds only what is new."""
    from app.cli.adding import print_report
    from app.cli.output import make_console
    from app.cli.pictures import find_pictures

    console = make_console(stderr=True)
    pictures = find_pictures(paths, label=label)
    report = asyncio.run(_index(pictures, collection, on_duplicate, url, key, console))
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        print_report(report, console)
    raise typer.Exit(1 if report.failures else 0)


async def _index(
    pictures: "list[FoundPicture]",
    collection: str,
    on_duplicate: OnDuplicate,
    url: str | None,
    key: str | None,
    console: "Console",
) -> "Report":
    from app.cli.adding import add_all

    async with open_target(url, key) as client:
        return await add_all(
            client,
            (picture.read for picture in pictures),
            total=len(pictures),
            collection=collection,
            on_duplicate=on_duplicate.value,
            console=console,
        )
