"""Resolve a picture argument of a command: a file, an address, or the id of a stored picture."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 100_000_000
FETCH_S: Final = 30.0
PICTURE_SUFFIXES: Final = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".dib", ".tif", ".tiff"),
        *(".avif", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k"),
    }
)
"""File name extensions of pictures, in lower case."""


class PictureNotRead(Exception):
    """A picture cannot be read from its file or fetched from its address."""


def picture_bytes(name: str) -> bytes | None:
    """Return the bytes of a file or of what an address answers; None if ``name`` is an id.

    This machine fetches the address, so the service needs no permission to.

    Raises:
        PictureNotRead: The address does not answer with a file, or ``name`` is a folder or cannot be read.
    """
    if name.startswith(("http://", "https://")):
        return _fetched(name)
    path = Path(name)
    try:
        if path.is_dir() and "/" in name:
            raise PictureNotRead(f"{name} is a folder; name one picture")
        return path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise PictureNotRead(f"{name} cannot be read ({error.strerror})") from error


@contextmanager
def missing_files(*names: str) -> Iterator[None]:
    """Turn the error for an unknown id into one that says so if the id looks like the name of a file.

    Args:
        *names: Arguments that ``picture_bytes`` took for ids.

    Raises:
        PictureNotRead: The service knows no such picture, and one of the names looks like a file.
    """
    from lookalike_client import NotFound

    try:
        yield
    except NotFound as error:
        files = [name for name in names if _looks_like_a_file(name)]
        if error.code != "unknown_image" or not files:
            raise
        raise PictureNotRead(f"{error.detail}, and no file {' or '.join(files)}") from error


def _looks_like_a_file(name: str) -> bool:
    return "/" in name or Path(name).suffix.lower() in PICTURE_SUFFIXES


def _fetched(url: str) -> bytes:
    import httpx2

    content = bytearray()
    try:
        with httpx2.stream("GET", url, follow_redirects=True, timeout=FETCH_S) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_bytes():
                content += chunk
                if len(content) > MAX_BYTES:
                    raise PictureNotRead(f"{url} has more than {MAX_BYTES:,} bytes")
    except httpx2.HTTPStatusError as error:
        status = f"{error.response.status_code} {error.response.reason_phrase}".strip()
        raise PictureNotRead(f"{url} cannot be fetched: it answers with {status}") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise PictureNotRead(f"{url} cannot be fetched: {error}") from error
    return bytes(content)
