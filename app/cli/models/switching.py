"""``lookalike models …``: list models, re-encode, activate, roll back, compare."""

from typing import Annotated, Any

import typer

from app.cli.models.comparisons import comparison_lines
from app.cli.terminal.output import (
    JsonOption,
    note,
    print_fields,
    print_json,
    print_queued,
    print_table,
    shown_time,
)
from app.cli.terminal.target import CollectionOption, KeyOption, UrlOption, call

ModelName = Annotated[str, typer.Argument(help="The model's name.")]
Answer = dict[str, Any]


def list_models(
    *,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """List models and which collections use them."""
    found = call(url, key, lambda client: client.list_models())
    if as_json:
        print_json(found)
        return
    rows = [
        (
            model["name"],
            str(model["bits"]),
            model["origin"],
            model["words"] or "",
            ", ".join(model["collections"]),
            shown_time(model["created_at"]),
        )
        for model in found["items"]
    ]
    print_table(("name", "bits", "origin", "words", "used by", "made"), rows)


def report(
    name: ModelName, *, as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None
) -> None:
    """Show a model's origin and users; with --json, also its data, method and figures."""
    found = call(url, key, lambda client: client.get_model_report(name))
    if as_json:
        print_json(found)
        return
    document = found["document"]
    print_fields(
        [
            ("name", found["name"]),
            ("bits", str(found["bits"])),
            ("descriptor", f"{found['descriptor_bytes']} bytes"),
            ("origin", found["origin"]),
            ("words", found["words"] or "none"),
            ("digest", found["digest"]),
            ("used by", ", ".join(found["collections"])),
            ("made", shown_time(found["created_at"])),
            *((field, str(document[field])) for field in ("licence", "method") if field in document),
            *(
                ("measured", line)
                for line in comparison_lines(document.get("calibration", {}).get("comparison"))
            ),
        ]
    )


def reencode(
    name: ModelName,
    *,
    collection: CollectionOption = "default",
    force: Annotated[
        bool, typer.Option("--force", help="Also encode pictures that already have a code.")
    ] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Have a worker encode a collection under a model; print the job's id."""
    job = call(url, key, lambda client: client.start_reencoding(name, collection=collection, force=force))
    print_queued(job, as_json=as_json)


def activate(
    name: ModelName,
    *,
    collection: CollectionOption = "default",
    accept_missing: Annotated[int, typer.Option(min=0, help="Number of pictures that may lack a code.")] = 0,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Switch a collection to a model, in every process at once."""
    switched = call(
        url,
        key,
        lambda client: client.activate_model(name, collection=collection, accept_missing=accept_missing),
    )
    _print_switch(switched, as_json=as_json)


def rollback(
    *,
    collection: CollectionOption = "default",
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Return to the model before the last switch."""
    _print_switch(call(url, key, lambda client: client.roll_back_model(collection=collection)), as_json=as_json)


def prune(
    *,
    collection: CollectionOption = "default",
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Delete the codes of inactive models; a rollback is not possible afterwards."""
    freed = call(url, key, lambda client: client.prune_codes(collection=collection))
    if as_json:
        print_json(freed)
    else:
        typer.echo(f"{freed['codes']:,} codes freed")


def compare(
    new: ModelName,
    queries: Annotated[list[str], typer.Argument(help="Ids of stored pictures to search with.")],
    *,
    collection: CollectionOption = "default",
    old: Annotated[
        str | None, typer.Option(help="A model; the collection's own by default.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Results to compare for each query.")] = 10,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Compare a model with the collection's own on your pictures, before switching."""
    found = call(
        url,
        key,
        lambda client: client.compare_models(new, queries, old=old, limit=limit, collection=collection),
    )
    if as_json:
        print_json(found)
        return
    rows = []
    for query in found["queries"]:
        came = [m["id"] for m in query["moved"] if m["old_rank"] is None]
        went = [m["id"] for m in query["moved"] if m["new_rank"] is None]
        moved = len(query["moved"]) - len(came) - len(went)
        rows.append((query["id"], f"{query['overlap']:.2f}", ", ".join(came), ", ".join(went), str(moved)))
    print_table(("query", "overlap", "came", "went", "moved"), rows)
    note(f"{found['old']} and {found['new']} share {found['overlap']:.0%} of the first {found['limit']}")
    for line in comparison_lines(found.get("measured")):
        note(line)


def _print_switch(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    typer.echo(f"{answer['collection']} is searched under {answer['model']}")
    if answer["missing"]:
        note(f"{answer['missing']:,} pictures have no code under it and are not found")
