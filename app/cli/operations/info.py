"""``lookalike info``: describe a service or the local database."""

from typing import Any

from app.cli.terminal.output import JsonOption, print_fields, print_json, print_table, shown_bytes
from app.cli.terminal.target import KeyOption, UrlOption, call


def info(*, as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None) -> None:
    """Describe a service: version, collections, memory and limits."""
    found = call(url, key, lambda client: client.get_info())
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    memory = found["memory_bytes"]
    print_fields(
        [
            ("version", found["version"]),
            ("default model", found["model"]),
            ("pictures", f"{found['images']:,}"),
            ("indexes", shown_bytes(found["index_bytes"])),
            *([] if memory is None else [("memory", shown_bytes(memory))]),
            ("largest upload", shown_bytes(found["limits"]["max_upload_bytes"])),
            ("keys", "required" if found["keys_required"] else "not required"),
        ]
    )
    rows = [(c["name"], c["model"], str(c["bits"]), f"{c['images']:,}") for c in found["collections"]]
    print_table(("collection", "model", "bits", "pictures"), rows)
