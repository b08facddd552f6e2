"""``lookalike search``: find look-alikes of a picture."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.output import JsonOption, note, print_json, print_table
from app.cli.target import CollectionOption, KeyOption, UrlOption, call

if TYPE_CHECKING:
    from app.client import AsyncClient


def search(
    query: Annotated[
        str, typer.Argument(help="A picture: a file, an http(s) address, or a stored picture's id.")
    ],
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most results.")] = 10,
    max_distance: Annotated[int | None, typer.Option(min=0, help="Largest Hamming distance.")] = None,
    orientations: Annotated[int, typer.Option(help="2: mirrored too; 4: turned by quarters too; 8: both.")] = 1,
    rank: Annotated[str, typer.Option(help="hamming, asymmetric or descriptor.")] = "hamming",
    filter_text: Annotated[str | None, typer.Option("--filter", help="A metadata filter as JSON.")] = None,
    collection: CollectionOption = "default",
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Find the pictures that look most like a file, a picture at an address, or a stored picture."""
    from app.cli.queries import picture_bytes

    fields: dict[str, Any] = {
        "limit": limit,
        "max_distance": max_distance,
        "rank": rank,
        "collection": collection,
    }
    content = picture_bytes(query)

    async def run(client: "AsyncClient") -> dict[str, Any]:
        if content is None:
            return await client.search_like(
                query, filter=parse_filter(filter_text), include_self=False, **fields
            )
        return await client.search(content, orientations=orientations, filter=filter_text, **fields)

    if content is None and orientations != 1:
        raise typer.BadParameter(
            "a stored picture is searched as it is; give its file", param_hint="--orientations"
        )
    answer = call(url, key, run)
    if as_json:
        print_json(answer)
    else:
        _print(answer)


def parse_filter(filter_text: str | None) -> Any:
    """Return the filter as a JSON value.

    Raises:
        typer.BadParameter: It is not JSON.
    """
    import json

    try:
        return None if filter_text is None else json.loads(filter_text)
    except ValueError as error:
        raise typer.BadParameter(f"{filter_text!r} is not JSON: {error}", param_hint="--filter") from error


def _print(answer: dict[str, Any]) -> None:
    rows = [
        (
            str(item["rank"]),
            item["id"],
            str(item["distance"]),
            f"{item['score']:.3f}",
            "yes" if item["exact"] else "",
            item["uri"] or "",
        )
        for item in answer["items"]
    ]
    print_table(("rank", "id", "distance", "score", "exact", "uri"), rows)
    searched = answer["index"]
    note(
        f"{searched['searched']:,} pictures of {searched['collection']!r} under {searched['model']}"
        f" in {answer['took_ms']['total']:.1f} ms"
    )
