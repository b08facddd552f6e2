"""``lookalike benchmark``: measure Lookalike on this machine."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.terminal.output import JsonOption, print_fields, print_json, progress_note, shown_bytes
from app.cli.terminal.settings import read_settings

if TYPE_CHECKING:
    from app.cli.operations.measurement import Measured


def benchmark(
    *,
    pictures: Annotated[
        int,
        typer.Option(
            "--pictures", "-n", min=1000, max=200_000_000, help="Size of the collection to search in."
        ),
    ] = 1_000_000,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time to spend encoding pictures, in seconds.")] = 5.0,
    as_json: JsonOption = False,
) -> None:
    """Measure this machine: pictures added per second, search time and memory, room for more pictures.

    Uses the default model, the sample gallery and random codes; it neither needs nor changes a database.
    """
    from app.cli.operations.measurement import NoRoom, measure

    settings = read_settings()
    progress_note(
        f"measuring with {settings.models.default_model}; other load on this machine distorts the figures"
    )
    try:
        measured = measure(settings, pictures=pictures, seconds=seconds)
    except NoRoom as error:
        raise typer.BadParameter(str(error), param_hint="--pictures") from error
    if as_json:
        print_json(asdict(measured))
    else:
        _print(measured)


def _print(measured: "Measured") -> None:
    at = f"{measured.pictures:,} pictures"
    megapixels = measured.mean_pixels / 1e6
    print_fields(
        [
            ("model", f"{measured.model}, {measured.bits} bits"),
            ("adds", f"{measured.pictures_per_s:,.1f} pictures a second of {megapixels:.2f} megapixels"),
            ("encodes a query", f"{measured.query_ms:,.1f} ms"),
            ("searches", f"{measured.search_ms:,.2f} ms among {at} (median, one thread, random codes)"),
            ("memory", f"{shown_bytes(measured.index_bytes)} for the index of {at}"),
            (
                "free memory",
                "not known" if measured.free_memory_bytes is None else shown_bytes(measured.free_memory_bytes),
            ),
            ("free disk", shown_bytes(measured.free_disk_bytes)),
            (
                "room for",
                f"{measured.room:,} more pictures of {shown_bytes(measured.stored_bytes_per_picture)} each",
            ),
        ]
    )
