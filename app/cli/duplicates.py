"""``lookalike duplicates``: groups of pictures that are the same or nearly so."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.target import CollectionOption, KeyOption, UrlOption, open_target

if TYPE_CHECKING:
    from rich.console import Console


def duplicates(
    *,
    max_distance: Annotated[
        int | None,
        typer.Option(min=0, help="Largest distance of a pair; by default what the model calls a copy."),
    ] = None,
    collection: CollectionOption = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Print the groups as JSON lines.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Find groups of pictures that are the same or nearly so."""
    from app.cli.output import make_console

    parameters = {"max_distance": max_distance, "collection": collection, "limit": 100}
    pages = asyncio.run(_pages(parameters, url, key))
    groups = [group for page in pages for group in page["items"]]
    if as_json:
        for group in groups:
            typer.echo(json.dumps(group))
    else:
        _print(groups, pages[0], make_console())


async def _pages(parameters: dict[str, Any], url: str | None, key: str | None) -> list[dict[str, Any]]:
    async with open_target(url, key) as client:
        pages = [await client.duplicates(**parameters)]
        while pages[-1]["next_cursor"]:
            pages.append(await client.duplicates(**parameters, cursor=pages[-1]["next_cursor"]))
    return pages


def _print(groups: list[dict[str, Any]], page: dict[str, Any], console: "Console") -> None:
    from rich.table import Table

    from app.cli.output import add_row

    table = Table("group", "id", "distance", "same file", "size", "uri")
    for i, group in enumerate(groups, 1):
        for image in group["images"]:
            add_row(
                table,
                str(i),
                image["id"],
                str(image["distance"]),
                "yes" if image["exact"] else "",
                f"{image['width']} × {image['height']}",
                image["uri"] or "",
            )
        table.add_section()
    console.print(table)
    console.print(
        f"{page['images']:,} pictures in {page['groups']:,} groups of {page['collection']!r}"
        f" within distance {page['max_distance']}"
    )
