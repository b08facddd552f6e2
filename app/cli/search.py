"""``lookalike search``: find look-alikes of a picture."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.target import CollectionOption, KeyOption, UrlOption, open_target

if TYPE_CHECKING:
    from rich.console import Console


def search(
    image: Annotated[Path, typer.Argument(help="The query picture.", exists=True, dir_okay=False)],
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most results.")] = 10,
    max_distance: Annotated[int | None, typer.Option(min=0, help="Largest Hamming distance.")] = None,
    orientations: Annotated[int, typer.Option(help="2: mirrored too; 4: turned by quarters too; 8: both.")] = 1,
    rank: Annotated[str, typer.Option(help="hamming, asymmetric or descriptor.")] = "hamming",
    filter_text: Annotated[str | None, typer.Option("--filter", help="A metadata filter as JSON.")] = None,
    collection: CollectionOption = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Find the pictures that look most like the given one."""
    from app.cli.output import make_console

    fields = {
        "limit": limit,
        "max_distance": max_distance,
        "orientations": orientations,
        "rank": rank,
        "filter": filter_text,
        "collection": collection,
    }
    answer = asyncio.run(_search(image.read_bytes(), fields, url, key))
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
    else:
        _print(answer, make_console())


async def _search(content: bytes, fields: dict[str, Any], url: str | None, key: str | None) -> dict[str, Any]:
    async with open_target(url, key) as client:
        return await client.search(content, **fields)


def _print(answer: dict[str, Any], console: "Console") -> None:
    from rich.table import Table

    from app.cli.output import add_row

    table = Table("rank", "id", "distance", "score", "exact", "uri")
    for item in answer["items"]:
        exact = "yes" if item["exact"] else ""
        add_row(
            table,
            str(item["rank"]),
            item["id"],
            str(item["distance"]),
            f"{item['score']:.3f}",
            exact,
            item["uri"] or "",
        )
    console.print(table)
    searched = answer["index"]
    console.print(
        f"{searched['searched']:,} pictures of {searched['collection']!r} under {searched['model']}"
        f" in {answer['took_ms']['total']:.1f} ms"
    )
