"""What a picture argument of a command names: a file, an address, or the id of a stored picture."""

from pathlib import Path
from typing import Final

MAX_BYTES: Final = 100_000_000
FETCH_S: Final = 30.0


class PictureNotRead(Exception):
    """A picture cannot be read from its file or fetched from its address."""


def picture_bytes(name: str) -> bytes | None:
    """Return the bytes of a file or of what an address answers; None if ``name`` is an id.

    This machine fetches the address, so the service needs no permission to.

    Raises:
        PictureNotRead: The address does not answer with a file, or the file cannot be read.
    """
    if name.startswith(("http://", "https://")):
        return _fetched(name)
    path = Path(name)
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise PictureNotRead(f"{name} cannot be read ({error.strerror})") from error


def id_or_missing_file(name: str) -> str:
    """Return a hint for an id that the service does not know, if it looks like a file."""
    looks_like_a_file = "/" in name or Path(name).suffix.lower() in {
        ".jpg",
        ".jpeg",
        ".png",
        ".webp",
        ".heic",
        ".gif",
    }
    return f"; {name} is not a file either" if looks_like_a_file else ""


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
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise PictureNotRead(f"{url} cannot be fetched: {error}") from error
    return bytes(content)
