"""``lookalike search``: find look-alikes of a picture, or pictures by words."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from app.cli.terminal.output import JsonOption, note, print_json, print_table
from app.cli.terminal.target import CollectionOption, KeyOption, UrlOption, call
from app.domain.ranks import Rank, Where

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from lookalike_client import AsyncClient, SearchResponse

SHOWN_CLASSES = 4
"""Names of classes printed for a word."""


def search(
    query: Annotated[
        str | None,
        typer.Argument(
            help="A picture: a file, an http(s) address, or a stored picture's id.", show_default=False
        ),
    ] = None,
    *,
    text: Annotated[
        str | None,
        typer.Option(help='Words for what pictures show, such as "dog, beach -cat".', show_default=False),
    ] = None,
    where: Annotated[
        Where | None,
        typer.Option(
            help="With --text: look for words in what pictures show (looks), in their metadata, or both.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of results.")] = 10,
    max_distance: Annotated[int | None, typer.Option(min=0, help="Largest Hamming distance.")] = None,
    orientations: Annotated[int, typer.Option(help="2: mirrored too; 4: turned by quarters too; 8: both.")] = 1,
    rank: Annotated[
        Rank | None,
        typer.Option(
            help="What orders the results; auto by default, the best for the query and the model.",
            show_default=False,
        ),
    ] = None,
    regions: Annotated[
        Literal["none", "borders", "auto"] | None,
        typer.Option(
            help="borders (default): also try the content without borders; auto: windows too, as for collages.",
            show_default=False,
        ),
    ] = None,
    diversify: Annotated[
        float,
        typer.Option(min=0, max=1, help="Higher values prefer results that differ from those before them."),
    ] = 0.0,
    colour: Annotated[
        float, typer.Option(min=0, max=1, help="Weight of the picture's colours; 1 orders by them alone.")
    ] = 0.0,
    filter_text: Annotated[str | None, typer.Option("--filter", help="A metadata filter as JSON.")] = None,
    collection: CollectionOption = "default",
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Find the pictures that look most like a file, a picture at an address or a stored one, or by words."""
    from app.cli.terminal.queries import missing_files, picture_bytes

    if (query is None) == (text is None):
        raise typer.BadParameter("give either a picture or --text", param_hint="QUERY")
    content = None if query is None else picture_bytes(query)
    condition = parse_filter(filter_text)

    def run(client: "AsyncClient") -> "Awaitable[SearchResponse]":
        if content is None:
            return client.search_by_query(
                image_id=query,
                text=text,
                where=None if where is None else where.value,
                limit=limit,
                max_distance=max_distance,
                rank=None if rank is None else rank.value,
                diversify=diversify or None,
                colour=colour or None,
                filter=condition,
                include_self=None if query is None else False,
                collection=collection,
            )
        return client.search_by_upload(
            content,
            limit=limit,
            max_distance=max_distance,
            orientations=orientations,
            regions=regions,
            rank=None if rank is None else rank.value,
            diversify=diversify or None,
            colour=colour or None,
            filter=condition,
            collection=collection,
        )

    if text is None and where is not None:
        raise typer.BadParameter("requires --text", param_hint="--where")
    if content is None and orientations != 1:
        raise typer.BadParameter(
            "applies only to a file or an address, not to stored pictures or words", param_hint="--orientations"
        )
    if content is None and regions is not None:
        raise typer.BadParameter(
            "applies only to a file or an address, not to stored pictures or words", param_hint="--regions"
        )
    with missing_files(*([query] if query is not None and content is None else [])):
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
    from app.domain.json_text import parse_json

    try:
        return None if filter_text is None else parse_json(filter_text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{filter_text!r} is not valid JSON: {error}", param_hint="--filter"
        ) from error


def _print(answer: dict[str, Any]) -> None:
    has_regions = any(item["region"] for item in answer["items"])
    has_colours = any(item["colour_distance"] is not None for item in answer["items"])
    rows = [
        (
            str(item["rank"]),
            item["id"],
            str(item["distance"]),
            f"{item['score']:.3f}",
            "yes" if item["exact"] else "",
            *([_rounded(item["colour_distance"])] if has_colours else []),
            *([_region(item["region"])] if has_regions else []),
            item["uri"] or "",
        )
        for item in answer["items"]
    ]
    for meaning in answer["query"].get("understood_as") or ():
        others = "".join(f"; or {other}" for other in meaning["other_meanings"])
        classes = ", ".join(meaning["classes"][:SHOWN_CLASSES])
        if meaning["relation"] == "tags":
            known = f"tags: P@10 {meaning['precision_at_10']:.2f} of {meaning['pictures']:,} pictures"
        elif meaning["relation"] == "text_tower":
            cut_off = f"; too long, {meaning['ignored']!r} is ignored" if meaning["ignored"] else ""
            known = f"encoded by the model's text tower{cut_off}"
        else:
            known = f"{meaning['relation']}: {classes}"
        label = f" ({meaning['label']})" if meaning["label"] else ""
        note(f"{meaning['phrase']}: {meaning['word']}{label}, {known}{others}")
    further = [*(["colour"] if has_colours else []), *(["region"] if has_regions else [])]
    print_table(("rank", "id", "distance", "score", "exact", *further, "uri"), rows)
    searched = answer["index"]
    note(
        f"{searched['searched']:,} pictures of {searched['collection']!r} under {searched['model']}"
        f" in {answer['took_ms']['total']:.1f} ms, ranked by {answer['ranked_by']}"
    )


def _rounded(distance: float | None) -> str:
    return "" if distance is None else f"{distance:.3f}"


def _region(region: dict[str, float] | None) -> str:
    """Return a region of the query as percentages, such as "50x50 % at 0,50"."""
    if region is None:
        return ""
    x, y, width, height = (round(100 * region[name]) for name in ("x", "y", "width", "height"))
    return f"{width}x{height} % at {x},{y}"
