"""``lookalike words …``: learn words from metadata, list the learned ones, and label pictures with words."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from app.cli.terminal.command_group import CommandGroup
from app.cli.terminal.exit_codes import ExitCode
from app.cli.terminal.line_files import write_lines
from app.cli.terminal.output import JsonOption, note, print_json, print_queued, print_table
from app.cli.terminal.target import CollectionOption, KeyOption, UrlOption, call, open_target

app = typer.Typer(
    cls=CommandGroup,
    help="Learn words from the metadata of pictures, list them, and label pictures.",
    no_args_is_help=True,
)


@app.command()
def learn(
    keys: Annotated[list[str], typer.Argument(help="Metadata keys with labels, lists of tags, or captions.")],
    *,
    collection: CollectionOption = "default",
    model: Annotated[
        str | None, typer.Option(help="Learn from this model's codes instead of the active one's.")
    ] = None,
    min_pictures: Annotated[int, typer.Option(min=2, help="Minimum number of pictures that carry a word.")] = 3,
    min_precision: Annotated[
        float, typer.Option(min=0, max=1, help="Minimum precision of a word that searches use.")
    ] = 0.5,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Have a worker learn words; print the job's id."""
    job = call(
        url,
        key,
        lambda client: client.start_learning_words(
            keys,
            collection=collection,
            model=model,
            min_pictures=min_pictures,
            min_precision=min_precision,
        ),
    )
    print_queued(job, as_json=as_json)


@app.command("list")
def list_words(
    *,
    collection: CollectionOption = "default",
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """List the words that were learned for a collection's active model, with their figures."""
    found = call(url, key, lambda client: client.list_learned_words(collection))
    if as_json:
        print_json(found)
        return
    rows = [
        (
            word["word"],
            f"{word['pictures']:,}",
            f"{word['precision_at_10']:.2f}",
            f"{word['average_precision']:.2f}",
            "yes" if word["is_offered"] else "",
        )
        for word in found["items"]
    ]
    print_table(("word", "pictures", "P@10", "AP", "used"), rows)
    note(f"{len(rows):,} words learned for {found['model']}")


@app.command()
def label(
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Output file; standard output if omitted.", dir_okay=False),
    ] = None,
    form: Annotated[
        Literal["ndjson", "csv"],
        typer.Option("--format", help="ndjson: a line for each picture; csv: a row for each of its words."),
    ] = "ndjson",
    limit: Annotated[int, typer.Option(min=1, max=50, help="Maximum number of words for a picture.")] = 3,
    min_share: Annotated[float, typer.Option(min=0, max=1, help="Minimum share of a word.")] = 0.0,
    collection: CollectionOption = "default",
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines, as --format ndjson.")] = False,
) -> None:
    """Write words for every picture of a collection, oldest first; nothing is stored."""
    import asyncio

    async def run() -> int:
        async with open_target(url, key) as client:
            lines = client.export_labels(
                collection, format="ndjson" if as_json else form, limit=limit, min_share=min_share
            )
            return await write_lines(lines, str, output)

    try:
        written = asyncio.run(run())
    except KeyboardInterrupt:
        note("the export is incomplete")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    note(f"{written:,} lines written" + ("" if output is None else f" to {output}"))
