"""``lookalike different``: remember that pictures are not duplicates, although they look like copies."""

from typing import Annotated

import typer

from app.cli.terminal.output import JsonOption, note, print_json
from app.cli.terminal.target import CollectionOption, KeyOption, UrlOption, call


def different(
    ids: Annotated[list[str], typer.Argument(help="Ids of two or more stored pictures.")],
    *,
    take_back: Annotated[
        bool, typer.Option("--take-back", help="Forget that they were marked as different.")
    ] = False,
    collection: CollectionOption = "default",
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remember that pictures are not duplicates of each other, so that no group contains two of them."""
    if take_back:
        changed = call(url, key, lambda client: client.take_back_different(ids, collection=collection))
    else:
        changed = call(url, key, lambda client: client.call_different(ids, collection=collection))
    if as_json:
        print_json(changed)
        return
    note(f"{changed['pairs']:,} pairs {'forgotten' if take_back else 'remembered as different'}")
