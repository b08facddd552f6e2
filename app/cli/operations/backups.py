"""``lookalike backup``, ``backups``, ``restore`` and ``verify``: jobs on the whole service."""

from typing import Annotated

import typer

from app.cli.terminal.output import JsonOption, print_json, print_queued, print_table, shown_time
from app.cli.terminal.target import KeyOption, UrlOption, call


def backup(
    *,
    copy_pictures: Annotated[
        bool, typer.Option("--copy-pictures", help="Copy the files of pictures and models too.")
    ] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Have a worker back up the service; print the job's id, which is also the backup's id."""
    job = call(url, key, lambda client: client.start_backup(copy_pictures=copy_pictures))
    print_queued(job, as_json=as_json)


def verify(
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be repaired.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Read every file.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Have a worker check that database, codes and files agree; print the job's id."""
    job = call(url, key, lambda client: client.start_verification(repair=repair, deep=deep))
    print_queued(job, as_json=as_json)


def backups(*, as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None) -> None:
    """List the backups of the service, newest first."""
    found = call(url, key, lambda client: client.list_backups())
    if as_json:
        print_json(found)
        return
    rows = [
        (
            backup["id"],
            shown_time(backup["created_at"]),
            f"{backup['pictures']:,}",
            "copied" if backup["copies_pictures"] else "kept in the picture store",
            f"{backup['missing_files']:,}",
        )
        for backup in found["items"]
    ]
    print_table(("id", "made", "pictures", "files", "missing files"), rows)


def restore(
    backup_id: Annotated[str, typer.Argument(help="The backup's id, as listed.")],
    *,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", help="Do not ask for confirmation.", prompt="Replace every collection with the backup's?"
        ),
    ],
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Have a worker restore a backup, replacing every collection; print the job's id."""
    if not yes:
        raise typer.Exit(1)
    print_queued(call(url, key, lambda client: client.start_restore(backup_id)), as_json=as_json)
