"""Default folders of a checkout and of an installed package."""

from pathlib import Path
from typing import Final

from platformdirs import user_data_path

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_INSTALLED: Final = (_PACKAGE / "_data").is_dir()
"""Whether this package comes from a wheel, which contains the migrations and models in ``_data``."""
SHIPPED: Final = _PACKAGE / "_data" if _INSTALLED else _PACKAGE.parent
"""Folder that contains the shipped migrations and model artifacts."""


DATABASE: Final = "lookalike.db"
"""Name of the SQLite database in the data folder."""


def default_data_dir() -> Path:
    """Return one folder for every working directory: ``data`` in a checkout, otherwise the user's data folder.

    Early versions used ``data`` in the working directory. Such a folder stays in use until the default one has
    a database.
    """
    earlier = earlier_data_dir()
    return earlier if earlier is not None and not (_data_dir() / DATABASE).exists() else _data_dir()


def earlier_data_dir() -> Path | None:
    """Return ``data`` in the working directory if an early version of Lookalike has left a database there."""
    folder = Path.cwd() / "data"
    return folder if (folder / DATABASE).is_file() and folder.resolve() != _data_dir().resolve() else None


def earlier_data_notice(data_dir: Path) -> str | None:
    """Return a sentence on a database that an early version left in the working directory.

    Args:
        data_dir: The data folder in use.
    """
    earlier = earlier_data_dir()
    if earlier is None:
        return None
    if earlier == data_dir:
        return (
            f"{earlier} is used, where an earlier version stored pictures, but only from {earlier.parent}; "
            f"move it to {_data_dir()}, or set LOOKALIKE_DATA_DIR={earlier}"
        )
    return (
        f"{earlier} has a database of an earlier version, which is not used; set LOOKALIKE_DATA_DIR={earlier} "
        "to use it"
    )


def _data_dir() -> Path:
    return user_data_path("lookalike", appauthor=False) if _INSTALLED else _PACKAGE.parent / "data"
