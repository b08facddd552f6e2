"""``lookalike compare``: how two pictures relate."""

from typing import Annotated, Any

import typer

from app.cli.output import JsonOption, print_fields, print_json
from app.cli.target import CollectionOption, KeyOption, UrlOption, call

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
    from app.cli.queries import picture_bytes

    sides = [content if (content := picture_bytes(name)) is not None else name for name in (first, second)]
    answer = call(url, key, lambda client: client.compare(*sides, collection=collection))
    if as_json:
        print_json(answer)
    else:
        _print(answer)


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
                [("note", "a picture is nearly uniform: its distances say nothing")]
                if any(answer["blank"])
                else []
            ),
            ("model", answer["model"]),
        ]
    )
