"""``lookalike duplicates``: groups of pictures that are the same or nearly so."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.terminal.output import JsonLinesOption, note, print_json_lines, print_table
from app.cli.terminal.target import CollectionOption, KeyOption, UrlOption, call

if TYPE_CHECKING:
    from lookalike_client import AsyncClient, DuplicatesResponse


def duplicates(
    *,
    max_distance: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Largest distance of a pair; by default the one of duplicates in the model's calibration.",
        ),
    ] = None,
    max_descriptor_distance: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=2,
            help="Largest distance of the descriptors of a pair; by default the one of duplicates in the "
            "model's calibration, or none with --max-distance.",
        ),
    ] = None,
    collection: CollectionOption = "default",
    as_json: JsonLinesOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Find groups of pictures that are the same or nearly so."""

    async def pages(client: "AsyncClient") -> list["DuplicatesResponse"]:
        async def page(cursor: str | None) -> "DuplicatesResponse":
            return await client.find_duplicates(
                max_distance=max_distance,
                max_descriptor_distance=max_descriptor_distance,
                collection=collection,
                limit=100,
                cursor=cursor,
            )

        pages = [await page(None)]
        while pages[-1].next_cursor is not None:
            pages.append(await page(pages[-1].next_cursor))
        return pages

    found = call(url, key, pages)
    groups = [group for page in found for group in page["items"]]
    if as_json:
        print_json_lines(groups)
    else:
        _print(groups, found[0])


def _print(groups: list[dict[str, Any]], page: dict[str, Any]) -> None:
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
    if page["rule"] is not None:
        note(
            f"{page['images']:,} pictures in {page['groups']:,} groups of {page['collection']!r}; "
            f"{page['rule']['meaning']}"
        )
        return
    bound = page["max_descriptor_distance"]
    descriptors = "" if bound is None else f" and descriptor distance {bound}"
    note(
        f"{page['images']:,} pictures in {page['groups']:,} groups of {page['collection']!r}"
        f" within distance {page['max_distance']}{descriptors}"
    )
