"""``lookalike keys``: create, list, change, rotate and revoke keys."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from app.cli.terminal.command_group import CommandGroup
from app.cli.terminal.output import JsonOption, note, print_json, print_table, shown_time
from app.cli.terminal.settings import read_database_settings
from app.domain.access import Scope

if TYPE_CHECKING:
    from app.domain.access import KeyRecord
    from app.services.access.keys import Keys, NewKey

app = typer.Typer(
    cls=CommandGroup,
    help="Create, list, change, rotate and revoke keys, in the local database, which needs no key.",
    no_args_is_help=True,
)
T = TypeVar("T")

KeyId = Annotated[str, typer.Argument(help="The key's id, as listed.")]
Bound = Annotated[
    list[str] | None,
    typer.Option("--collection", help="Bind the key to this collection; repeat it for several."),
]
Days = Annotated[float | None, typer.Option("--expires-in-days", min=0.001, help="Days until the key expires.")]
_TIMES: Final = {
    "created_at": "created_at",
    "expires_at": "expires_at",
    "last_used_at": "last_used_at",
    "revoked_at": "revoked_at",
    "previous_secret_until": "previous_until",
}
"""Times of a key in the HTTP interface, and the fields that hold them here."""


def _with_keys(work: "Callable[[Keys], Awaitable[T]]") -> T:
    import asyncio

    from app.bootstrap import open_database
    from app.services.access.keys import Keys

    async def run() -> T:
        async with open_database(read_database_settings()) as database:
            return await work(Keys(database))

    return asyncio.run(run())


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[Scope, typer.Option(help="What it may do.")] = Scope.SEARCH,
    collections: Bound = None,
    originals: Annotated[
        bool, typer.Option("--originals", help="Let a key that only searches read original files too.")
    ] = False,
    expires_in_days: Days = None,
    as_json: JsonOption = False,
) -> None:
    """Create a key and print it; it cannot be shown again."""
    from app.services.access.keys import Rights, names_of

    rights = Rights(scope, names_of(collections or []), originals, _end(expires_in_days))
    made = _with_keys(lambda keys: keys.create(name, rights))
    _show_secret(made, f"key {made.record.id} for {name!r} with scope {scope.value}:", as_json=as_json)


@app.command("list")
def list_keys(*, as_json: JsonOption = False) -> None:
    """List every key, revoked and expired ones too."""
    keys = [_document(key) for key in _with_keys(lambda keys: keys.list())]
    if as_json:
        print_json({"items": keys})
        return
    columns = ("id", "name", "begins with", "scope", "collections", "made", "last used", "ends", "revoked")
    rows = [
        (
            key["id"],
            key["name"],
            key["prefix"],
            f"{key['scope']} + originals" if key["originals"] else key["scope"],
            "all" if key["collections"] is None else ", ".join(key["collections"]),
            *(shown_time(key[time]) for time in ("created_at", "last_used_at", "expires_at", "revoked_at")),
        )
        for key in keys
    ]
    print_table(columns, rows)


@app.command()
def change(
    key_id: KeyId,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    scope: Annotated[Scope | None, typer.Option(help="A new scope.")] = None,
    collections: Bound = None,
    all_collections: Annotated[
        bool, typer.Option("--all-collections", help="Let the key use all collections again.")
    ] = False,
    originals: Annotated[
        bool | None, typer.Option("--originals/--no-originals", help="Whether it may read original files.")
    ] = None,
    expires_in_days: Days = None,
    never_expires: Annotated[bool, typer.Option("--never-expires", help="Remove the key's expiry.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Change a key's name or rights; its secret stays; running services apply the change within a second."""
    from app.services.access.keys import names_of

    if collections and all_collections:
        raise typer.BadParameter("give either --collection or --all-collections")
    if expires_in_days is not None and never_expires:
        raise typer.BadParameter("give either --expires-in-days or --never-expires")
    given = {"name": name, "scope": scope, "collections": names_of(collections or []), "originals": originals}
    changes: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    if expires_in_days is not None:
        changes["expires_at"] = _end(expires_in_days)
    changes |= dict.fromkeys(["collections"] * all_collections + ["expires_at"] * never_expires)
    if not changes:
        raise typer.BadParameter("name something to change")
    changed = _with_keys(lambda keys: keys.change(key_id, changes))
    if as_json:
        print_json(_document(changed))
    else:
        typer.echo(f"key {key_id} is changed")


@app.command()
def rotate(
    key_id: KeyId,
    overlap_hours: Annotated[
        float, typer.Option(min=0, help="Hours for which the old secret is still accepted; 0 if it has leaked.")
    ] = 24.0,
    as_json: JsonOption = False,
) -> None:
    """Give a key a new secret and print it; it cannot be shown again."""
    made = _with_keys(lambda keys: keys.rotate(key_id, timedelta(hours=overlap_hours)))
    sentence = f"key {key_id} has a new secret; the old one is accepted for {overlap_hours:g} hours:"
    _show_secret(made, sentence, as_json=as_json)


@app.command()
def revoke(key_id: KeyId, *, as_json: JsonOption = False) -> None:
    """Revoke a key; running services refuse it within a second."""
    _with_keys(lambda keys: keys.revoke(key_id))
    if as_json:
        print_json({"revoked": key_id})
    else:
        typer.echo(f"key {key_id} is revoked")


def _show_secret(made: "NewKey", sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json({**_document(made.record), "secret": made.text})
        return
    note(sentence)
    typer.echo(made.text)


def _end(days: float | None) -> datetime | None:
    return None if days is None else datetime.now(UTC) + timedelta(days=days)


def _document(key: "KeyRecord") -> dict[str, Any]:
    """Return a key with the fields of the HTTP interface."""
    times = {name: getattr(key, field) for name, field in _TIMES.items()}
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "scope": key.scope.value,
        "collections": None if key.collections is None else list(key.collections),
        "originals": key.originals,
        **{name: None if time is None else time.isoformat() for name, time in times.items()},
    }
