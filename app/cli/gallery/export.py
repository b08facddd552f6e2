"""``lookalike export``: every picture of a collection as a line of JSON, with its code."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.terminal.exit_codes import ExitCode
from app.cli.terminal.line_files import write_lines
from app.cli.terminal.output import JsonLinesOption, note
from app.cli.terminal.target import CollectionOption, KeyOption, UrlOption, as_document, open_target

if TYPE_CHECKING:
    from lookalike_client import ExportedPicture


def export(
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Output file; standard output if omitted.", dir_okay=False),
    ] = None,
    collection: CollectionOption = "default",
    as_json: JsonLinesOption = True,  # noqa: ARG001 - the only form; scripts may ask for it by name
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Write ids, metadata, sizes and codes of a collection as JSON lines, oldest first."""
    import asyncio

    try:
        lines = asyncio.run(_export(output, collection, url, key))
    except KeyboardInterrupt:
        note("the export is incomplete")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    note(f"{lines:,} pictures exported" + ("" if output is None else f" to {output}"))


async def _export(output: Path | None, collection: str, url: str | None, key: str | None) -> int:
    async with open_target(url, key) as client:
        return await write_lines(client.export_collection(collection=collection), _line, output)


def _line(picture: "ExportedPicture") -> str:
    return json.dumps(as_document(picture), ensure_ascii=False)
