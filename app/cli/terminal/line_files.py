"""Write lines of text to standard output, or to a file that appears when it is complete."""

import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


async def write_lines(values: AsyncGenerator[T, None], line_of: Callable[[T], str], output: Path | None) -> int:
    """Write a line for each value, and return the number of lines.

    Args:
        values: The values.
        line_of: Returns the line of a value, without its end.
        output: A file to replace; standard output if None.
    """
    count = 0
    if output is None:
        # Closed here, since a reader such as `head` may end before the export does.
        async with aclosing(values):
            async for value in values:
                count += 1
                sys.stdout.write(line_of(value) + "\n")
        return count
    # Renamed when it is complete, so that a file of this name is never half an export.
    part = output.with_name(f".{output.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            async for value in values:
                count += 1
                file.write(line_of(value) + "\n")
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    return count
