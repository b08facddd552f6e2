"""``lookalike duplicates``: groups of pictures that are the same or nearly so."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.terminal.output import JsonLinesOption, note, print_json_lines, print_table
from app.cli.terminal.target import CollectionOption, KeyOption, UrlOption, call

if TYPE_CHECKING:
    from lookalike_client import AsyncClient


def duplicates(
    *,
    max_distance: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Largest distance of a pair; by default the rule for copies decides.",
        ),
    ] = None,
    max_descriptor_distance: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=2,
            help="Largest distance of the descriptors of a pair; by default the rule for copies decides, or "
            "codes alone with --max-distance.",
        ),
    ] = None,
    collection: CollectionOption = "default",
    as_json: JsonLinesOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Find groups of pictures that are the same or nearly so."""
    asked: dict[str, Any] = {
        "max_distance": max_distance,
        "max_descriptor_distance": max_descriptor_distance,
        "collection": collection,
    }

    async def read(client: "AsyncClient") -> tuple[Any, list[Any]]:
        # The first page alone tells the rule and the numbers of all groups.
        summary = await client.find_duplicates(**asked, limit=1)
        return summary, [group async for group in client.iter_duplicates(**asked, limit=100)]

    summary, groups = call(url, key, read)
    if as_json:
        print_json_lines(groups)
    else:
        _print(groups, summary)


def _print(groups: list[dict[str, Any]], summary: dict[str, Any]) -> None:
    rows = [
        (
            str(number),
            image["id"],
            str(image["distance"]),
            "yes" if image["exact"] else "",
            f"{image['width']} × {image['height']}",
            image["uri"] or "",
        )
        for number, group in enumerate(groups, 1)
        for image in group["images"]
    ]
    print_table(("group", "id", "distance", "same file", "size", "uri"), rows)
    if summary["rule"] is not None:
        note(
            f"{summary['images']:,} pictures in {summary['groups']:,} groups of {summary['collection']!r}; "
            f"{summary['rule']['meaning']}"
        )
        return
    bound = summary["max_descriptor_distance"]
    descriptors = "" if bound is None else f" and descriptor distance {bound}"
    note(
        f"{summary['images']:,} pictures in {summary['groups']:,} groups of {summary['collection']!r}"
        f" within distance {summary['max_distance']}{descriptors}"
    )
