"""``lookalike collections``: list, create, show and delete collections."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from app.cli.terminal.command_group import CommandGroup
from app.cli.terminal.exit_codes import ExitCode
from app.cli.terminal.output import (
    JsonOption,
    note,
    print_fields,
    print_json,
    print_table,
    shown_bytes,
    shown_time,
)
from app.cli.terminal.target import KeyOption, UrlOption, as_document, call

if TYPE_CHECKING:
    from lookalike_client import AsyncClient, Collection

app = typer.Typer(cls=CommandGroup, help="List, create, show and delete collections.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The collection's name.")]


@app.command("list")
def list_collections(*, as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None) -> None:
    """List collections by name."""

    async def run(client: "AsyncClient") -> "list[Collection]":
        return [collection async for collection in client.iter_collections()]

    found = call(url, key, run)
    if as_json:
        print_json({"items": found})
        return
    rows = [
        (
            c["name"],
            f"{c['images']:,}",
            c["model"],
            c["keeps"],
            c["index"],
            shown_time(c["created_at"]),
            c["description"] or "",
        )
        for c in found
    ]
    print_table(("name", "pictures", "model", "keeps", "index", "made", "description"), rows)


@app.command()
def create(
    name: Name,
    *,
    model: Annotated[str | None, typer.Option(help="A model; the service's default if omitted.")] = None,
    keeps: Annotated[
        Literal["copies", "references"], typer.Option(help="Store the pictures, or only their codes and uris.")
    ] = "copies",
    index: Annotated[
        Literal["local", "clickhouse"],
        typer.Option(help="Search its codes in memory, or on the ClickHouse server of the service."),
    ] = "local",
    description: Annotated[str | None, typer.Option(help="Description of the collection.")] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Create a collection."""
    made = call(
        url,
        key,
        lambda client: client.create_collection(
            name, model=model, keeps=keeps, index=index, description=description
        ),
    )
    if as_json:
        print_json(made)
    else:
        typer.echo(f"collection {made['name']} created with model {made['model']}")


@app.command()
def show(name: Name, *, as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None) -> None:
    """Show a collection: its model, its size and what it keeps."""

    async def run(client: "AsyncClient") -> dict[str, Any]:
        collection, stats = await client.get_collection(name), await client.get_collection_stats(name)
        return {**as_document(collection), **as_document(stats)}

    found = call(url, key, run)
    if as_json:
        print_json(found)
        return
    print_fields(
        [
            ("name", found["name"]),
            ("description", found["description"] or ""),
            ("pictures", f"{found['images']:,}"),
            ("model", f"{found['model']} ({found['bits']} bits)"),
            ("keeps", found["keeps"]),
            ("searched", found["index"]),
            ("index", shown_bytes(found["index_bytes"])),
            ("files", shown_bytes(found["stored_bytes"])),
            ("made", shown_time(found["created_at"])),
        ]
    )


@app.command()
def delete(
    name: Name,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Delete a collection with all its pictures."""
    if not yes and not typer.confirm(f"Delete the collection {name} with all its pictures?", err=True):
        raise typer.Exit(ExitCode.REFUSED)
    call(url, key, lambda client: client.delete_collection(name))
    if as_json:
        print_json({"deleted": name})
    else:
        note(f"collection {name} is deleted")
