"""Default folders of a checkout and of an installed package."""

from pathlib import Path
from typing import Final

from platformdirs import user_data_path

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_INSTALLED: Final = (_PACKAGE / "_data").is_dir()
"""Whether this package comes from a wheel, which contains the migrations and models in ``_data``."""
SHIPPED: Final = _PACKAGE / "_data" if _INSTALLED else _PACKAGE.parent
"""Folder that contains the shipped migrations and model artifacts."""


def default_data_dir() -> Path:
    """Return one folder for every working directory: ``data`` in a checkout, else the user's data folder."""
    return user_data_path("lookalike", appauthor=False) if _INSTALLED else _PACKAGE.parent / "data"
