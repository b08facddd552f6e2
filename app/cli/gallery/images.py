"""``lookalike images``: list, show, edit and delete stored pictures."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from app.cli.gallery.search import parse_filter
from app.cli.terminal.command_group import CommandGroup
from app.cli.terminal.exit_codes import ExitCode
from app.cli.terminal.output import (
    JsonLinesOption,
    JsonOption,
    note,
    print_fields,
    print_json,
    print_json_lines,
    print_table,
    shown_bytes,
    shown_time,
)
from app.cli.terminal.target import CollectionOption, KeyOption, UrlOption, call
from app.domain.json_text import RepeatedKey, parse_json

if TYPE_CHECKING:
    from lookalike_client import AsyncClient, DeleteResponse, Image

app = typer.Typer(cls=CommandGroup, help="List, show, edit and delete stored pictures.", no_args_is_help=True)
ImageId = Annotated[str, typer.Argument(help="The picture's id.")]
FilterOption = Annotated[str | None, typer.Option("--filter", help="A metadata filter as JSON.")]
PAGE: Final = 1000
TAGS: Final = "tags"
"""Metadata key under which tags are stored, as a list."""


@app.command("list")
def list_images(
    *,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of pictures to list.")] = 100,
    filter_text: FilterOption = None,
    order: Annotated[Literal["newest", "oldest"], typer.Option(help="Which pictures come first.")] = "newest",
    collection: CollectionOption = "default",
    as_json: JsonLinesOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """List stored pictures, newest first."""
    condition = parse_filter(filter_text)

    async def run(client: "AsyncClient") -> "list[Image]":
        found: list[Image] = []
        page = min(limit, PAGE)
        async for image in client.iter_pictures(
            filter=condition, order=order, limit=page, collection=collection
        ):
            found.append(image)
            if len(found) == limit:
                break
        return found

    found = call(url, key, run)
    if as_json:
        print_json_lines(found)
        return
    rows = [
        (
            image["id"],
            f"{image['width']} × {image['height']}",
            shown_bytes(image["size_bytes"]),
            shown_time(image["created_at"]),
            image["uri"] or "",
            json.dumps(image["metadata"], ensure_ascii=False) if image["metadata"] else "",
        )
        for image in found
    ]
    print_table(("id", "size", "bytes", "added", "uri", "metadata"), rows)


@app.command()
def show(
    image_id: ImageId,
    *,
    collection: CollectionOption = "default",
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Show a stored picture."""
    _print(call(url, key, lambda client: client.get_picture(image_id, collection=collection)), as_json=as_json)


@app.command()
def edit(
    image_id: ImageId,
    *,
    set_values: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Set a metadata value, as JSON or plain text; repeatable."
        ),
    ] = None,
    unset: Annotated[
        list[str] | None, typer.Option("--unset", metavar="KEY", help="Remove a key; repeatable.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="Add to the list under `tags`; repeatable.")
    ] = None,
    untag: Annotated[
        list[str] | None, typer.Option("--untag", help="Remove from the list under `tags`; repeatable.")
    ] = None,
    uri: Annotated[str | None, typer.Option(help="A new uri.")] = None,
    collection: CollectionOption = "default",
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Change metadata, tags or the uri of a stored picture; everything else stays as it is."""
    values = dict(map(_pair, set_values or ()))
    if not (values or unset or tag or untag or uri is not None):
        raise typer.BadParameter("name something to change: --set, --unset, --tag, --untag or --uri")

    async def run(client: "AsyncClient") -> "Image":
        image = await client.get_picture(image_id, collection=collection)
        metadata = _changed(image.metadata or {}, values, unset or (), tag or (), untag or ())
        return await client.patch_picture(
            image_id,
            metadata=metadata,
            uri=image.uri if uri is None else uri,
            # Refused if another change came in between, which this one would undo.
            revision=image.revision,
            collection=collection,
        )

    _print(call(url, key, run), as_json=as_json)


@app.command()
def delete(
    image_ids: Annotated[list[str] | None, typer.Argument(help="Ids of pictures.", show_default=False)] = None,
    *,
    filter_text: FilterOption = None,
    samples: Annotated[bool, typer.Option("--samples", help="The pictures of the sample gallery.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be deleted; delete nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask for confirmation when deleting by filter.")
    ] = False,
    collection: CollectionOption = "default",
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Delete stored pictures by id or filter, or the samples; exit with 1 if an id was not found."""
    condition = parse_filter(filter_text)
    if bool(image_ids) + (condition is not None) + samples != 1:
        raise typer.BadParameter("name pictures by their ids, by --filter, or by --samples")

    async def delete(client: "AsyncClient", *, dry_run: bool) -> "DeleteResponse":
        return await client.delete_pictures(
            ids=image_ids or None,
            filter=condition,
            samples=samples or None,
            dry_run=dry_run,
            collection=collection,
        )

    async def run(client: "AsyncClient") -> "DeleteResponse":
        if condition is not None and not yes and not dry_run:
            matched = await delete(client, dry_run=True)
            if not typer.confirm(f"Delete {matched.count:,} pictures of {collection}?", err=True):
                raise typer.Exit(ExitCode.REFUSED)
        return await delete(client, dry_run=dry_run)

    answer = call(url, key, run)
    if as_json:
        print_json(answer)
    else:
        note(f"{answer['count']:,} pictures {'would be' if dry_run else 'are'} deleted")
        for missing in answer["missing"]:
            note(f"{collection} has no picture {missing}")
    raise typer.Exit(ExitCode.ITEMS_FAILED if answer["missing"] else ExitCode.OK)


def _pair(setting: str) -> tuple[str, Any]:
    """Return a key and its value, which is JSON or plain text.

    Raises:
        typer.BadParameter: It is not KEY=VALUE, or the value has an object that repeats a key.
    """
    key, equals, value = setting.partition("=")
    if not equals or not key:
        raise typer.BadParameter(f"{setting!r} is not KEY=VALUE", param_hint="--set")
    try:
        return key, parse_json(value)
    except RepeatedKey as error:
        raise typer.BadParameter(f"{setting!r}: {error}", param_hint="--set") from error
    except ValueError:
        return key, value


def _changed(
    metadata: dict[str, Any],
    values: dict[str, Any],
    unset: Sequence[str],
    tag: Sequence[str],
    untag: Sequence[str],
) -> dict[str, Any]:
    changed = {key: value for key, value in metadata.items() if key not in unset} | values
    if tag or untag:
        tags = changed.get(TAGS, [])
        tags = tags if isinstance(tags, list) else [tags]
        changed[TAGS] = [each for each in dict.fromkeys([*tags, *tag]) if each not in untag]
        if not changed[TAGS]:
            del changed[TAGS]
    return changed


def _print(image: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(image)
        return
    print_fields(
        [
            ("id", image["id"]),
            ("uri", image["uri"] or ""),
            ("size", f"{image['width']} × {image['height']}, {shown_bytes(image['size_bytes'])}"),
            ("media type", image["media_type"]),
            ("sha256", image["sha256"]),
            ("added", shown_time(image["created_at"])),
            ("changed", shown_time(image["updated_at"])),
            *(
                (key, value if isinstance(value, str) else json.dumps(value))
                for key, value in (image["metadata"] or {}).items()
            ),
        ]
    )
