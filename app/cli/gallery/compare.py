"""``lookalike compare``: compare two pictures."""

from typing import Annotated, Any

import typer

from app.cli.terminal.output import JsonOption, print_fields, print_json
from app.cli.terminal.target import CollectionOption, KeyOption, UrlOption, call

Picture = Annotated[str, typer.Argument(help="A file, an http(s) address, or a stored picture's id.")]


def compare(
    first: Picture,
    second: Picture,
    *,
    collection: CollectionOption = "default",
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Compare two pictures: files, pictures at an address, or stored ones."""
    from app.cli.terminal.queries import missing_files, picture_bytes

    first_side, second_side = (_bytes_or_id(picture_bytes(name), name) for name in (first, second))
    with missing_files(*(side for side in (first_side, second_side) if isinstance(side, str))):
        answer = call(
            url, key, lambda client: client.compare_uploads(first_side, second_side, collection=collection)
        )
    if as_json:
        print_json(answer)
    else:
        _print(answer)


def _bytes_or_id(content: bytes | None, name: str) -> bytes | str:
    return name if content is None else content


def _print(answer: dict[str, Any]) -> None:
    descriptor, shares = answer["descriptor_distance"], answer["shares_within"]
    print_fields(
        [
            ("likeness", answer["likeness"] or "not known"),
            ("same file", "yes" if answer["exact"] else "no"),
            ("distance", f"{answer['distance']} of {answer['bits']} bits"),
            *([] if descriptor is None else [("descriptor distance", f"{descriptor:.3f}")]),
            *(
                (f"{kind.replace('_', ' ')} within this distance", f"{share:.1%}")
                for kind, share in (shares or {}).items()
            ),
            *(
                [("note", "a picture is nearly uniform: its distances mean nothing")]
                if any(answer["blank"])
                else []
            ),
            ("model", answer["model"]),
        ]
    )
