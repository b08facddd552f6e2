"""Files to upload: bytes, paths and file objects."""

import io
import os
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TypeAlias

Upload: TypeAlias = bytes | os.PathLike[str] | IO[bytes]
"""The bytes of a file, its path, or a file opened in binary mode, which is sent from its start."""


def check(upload: object) -> None:
    """Check the type of a file to upload.

    Raises:
        TypeError: It is a text, which may be an id or a path, or not a file at all.
    """
    if isinstance(upload, str):
        raise TypeError(f"give a file as bytes, a path or a binary file: Path({upload!r}), not {upload!r}")
    if isinstance(upload, io.TextIOBase):
        raise TypeError("open the file in binary mode")
    if not isinstance(upload, bytes | os.PathLike) and not hasattr(upload, "read"):
        raise TypeError(f"give a file as bytes, a path or a binary file, not {type(upload).__name__}")


def name_of(upload: Upload) -> str:
    """Return the name to send with a file."""
    if isinstance(upload, os.PathLike):
        return Path(upload).name
    name = getattr(upload, "name", None)
    return Path(name).name if isinstance(name, str) and name else "file"


def opened(upload: Upload, name: str | None, stack: ExitStack) -> tuple[str, bytes | IO[bytes]]:
    """Return name and content of a form part; ``stack`` closes what was opened."""
    # Names of files may contain bytes that are not UTF-8, which Python represents as lone surrogates.
    safe_name = (name or name_of(upload)).encode("utf-8", "backslashreplace").decode()
    if isinstance(upload, os.PathLike):
        return safe_name, stack.enter_context(Path(upload).open("rb"))
    return safe_name, upload


def can_be_sent_again(upload: Upload) -> bool:
    """Return whether a second attempt can read the file from its start."""
    return isinstance(upload, bytes | os.PathLike) or upload.seekable()
