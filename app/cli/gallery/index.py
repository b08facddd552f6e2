"""``lookalike index``: add pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.terminal.output import JsonOption
from app.cli.terminal.target import CollectionOption, KeyOption, UrlOption, open_target
from app.domain import duplicates

if TYPE_CHECKING:
    from lookalike_client import OnDuplicate, OnNearDuplicate


def index(
    paths: Annotated[
        list[Path], typer.Argument(help="Pictures, folders, and zip, tar or tar.gz archives.", exists=True)
    ],
    *,
    collection: CollectionOption = "default",
    on_duplicate: Annotated[
        duplicates.OnDuplicate, typer.Option(help="What to do with a picture whose id is already stored.")
    ] = duplicates.OnDuplicate.SKIP,
    on_near_duplicate: Annotated[
        duplicates.OnNearDuplicate | None,
        typer.Option(
            help="What to do with a copy, edited or not, of a picture that is stored under another id. "
            "By default copies are not detected."
        ),
    ] = None,
    label: Annotated[bool, typer.Option(help="Whether a folder's name becomes its pictures' label.")] = True,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Add pictures, folders and archives; run it again to continue, or to add new files."""
    add_paths(
        paths,
        collection=collection,
        on_duplicate=on_duplicate.value,
        on_near_duplicate=None if on_near_duplicate is None else on_near_duplicate.value,
        label=label,
        split=False,
        limit=None,
        as_json=as_json,
        url=url,
        key=key,
    )


def add_paths(
    paths: Sequence[Path],
    *,
    collection: str,
    on_duplicate: "OnDuplicate",
    label: bool,
    split: bool,
    limit: int | None,
    as_json: bool,
    url: str | None,
    key: str | None,
    on_near_duplicate: "OnNearDuplicate | None" = None,
) -> None:
    """Add the pictures at some paths, print the report and exit.

    Args:
        paths: Files, folders and archives.
        collection: The collection to add to.
        on_duplicate: ``skip``, ``replace`` or ``error``.
        label: Whether the name of a picture's folder becomes its label.
        split: Whether the first folder in an archive becomes the value under ``split``.
        limit: Most files to read; None for all.
        as_json: Whether to print the report as JSON.
        url: The address of a service.
        key: A key for it.
        on_near_duplicate: ``report``, ``skip`` or ``error``; None to skip the search for copies.
    """
    import asyncio

    from app.cli.gallery.adding import Report, add_all, finish
    from app.cli.gallery.pictures import FileRefused, PictureFinder

    report = Report()

    async def run() -> None:
        async with open_target(url, key) as client:
            max_bytes = (await client.get_info()).limits["max_upload_bytes"]
            with PictureFinder(max_bytes=max_bytes, label=label, split=split) as finder:
                files = []
                for path in paths:
                    try:
                        files += await asyncio.to_thread(finder.find, [path])
                    except FileRefused as refused:
                        report.refuse(refused.name, refused.code, refused.detail)
                files = files[:limit]
                await add_all(
                    client,
                    files,
                    total=len(files),
                    collection=collection,
                    on_duplicate=on_duplicate,
                    on_near_duplicate=on_near_duplicate,
                    report=report,
                )

    finish(run, report, as_json=as_json)
