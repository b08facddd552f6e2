"""``lookalike models …``: list models, re-encode, activate, roll back, compare."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.target import CollectionOption, KeyOption, UrlOption, open_target

if TYPE_CHECKING:
    from app.client import AsyncClient

ModelName = Annotated[str, typer.Argument(help="The model's name.")]
Answer = dict[str, Any]


def _ask(url: str | None, key: str | None, call: "Callable[[AsyncClient], Awaitable[Answer]]") -> Answer:
    async def run() -> Answer:
        async with open_target(url, key) as client:
            return await call(client)

    return asyncio.run(run())


def list_models(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """List models and which collections use them."""
    found = _ask(url, key, lambda client: client.models())
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    from rich.table import Table

    from app.cli.output import add_row, make_console

    table = Table("name", "bits", "origin", "used by", "made")
    for model in found["items"]:
        made = model["created_at"][:16].replace("T", " ")
        add_row(
            table, model["name"], str(model["bits"]), model["origin"], ", ".join(model["collections"]), made
        )
    make_console().print(table)


def report(name: ModelName, *, url: UrlOption = None, key: KeyOption = None) -> None:
    """Print a model's origin, data, method and figures as JSON."""
    typer.echo(json.dumps(_ask(url, key, lambda client: client.model_report(name)), indent=2))


def reencode(
    name: ModelName,
    *,
    collection: CollectionOption = "default",
    force: Annotated[bool, typer.Option("--force", help="Encode pictures that have a code too.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Have a worker encode a collection under a model; print the job's id."""
    job = _ask(
        url, key, lambda client: client.start_job("reencode", model=name, collection=collection, force=force)
    )
    typer.echo(job["id"])


def activate(
    name: ModelName,
    *,
    collection: CollectionOption = "default",
    accept_missing: Annotated[int, typer.Option(min=0, help="Pictures that may lack a code.")] = 0,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Switch a collection to a model, in every process at once."""
    fields = {"collection": collection, "accept_missing": accept_missing}
    _print_switch(_ask(url, key, lambda client: client.activate_model(name, **fields)))


def rollback(*, collection: CollectionOption = "default", url: UrlOption = None, key: KeyOption = None) -> None:
    """Return to the model before the last switch."""
    _print_switch(_ask(url, key, lambda client: client.roll_back_model(collection)))


def prune(*, collection: CollectionOption = "default", url: UrlOption = None, key: KeyOption = None) -> None:
    """Delete the codes of inactive models; a rollback is not possible afterwards."""
    freed = _ask(url, key, lambda client: client.prune_models(collection))
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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Compare a model with the collection's own on your pictures, before switching."""
    fields = {"collection": collection, "old": old, "new": new, "queries": queries, "limit": limit}
    found = _ask(url, key, lambda client: client.compare_models(**fields))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    from rich.table import Table

    from app.cli.output import add_row, make_console

    table = Table("query", "overlap", "came", "went", "moved")
    for query in found["queries"]:
        came = [m["id"] for m in query["moved"] if m["old_rank"] is None]
        went = [m["id"] for m in query["moved"] if m["new_rank"] is None]
        moved = len(query["moved"]) - len(came) - len(went)
        add_row(table, query["id"], f"{query['overlap']:.2f}", ", ".join(came), ", ".join(went), str(moved))
    make_console().print(table)
    typer.echo(f"{found['old']} and {found['new']} share {found['overlap']:.0%} of the first {found['limit']}")


def _print_switch(answer: Answer) -> None:
    typer.echo(f"{answer['collection']} is searched under {answer['model']}")
    if answer["missing"]:
        typer.echo(f"{answer['missing']:,} pictures have no code under it and are not found")
