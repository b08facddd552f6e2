"""Download a public data set with torchvision and yield its pictures as files."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DATASETS: Final = ("caltech101", "cifar10")


@dataclass(frozen=True, slots=True)
class DownloadedPicture:
    """One picture of a data set, as a file."""

    name: str
    """Unique within the data set: ``<kind>/<file>``."""
    kind: str
    content: bytes


def downloaded_pictures(dataset: str, folder: Path) -> Iterator[DownloadedPicture]:
    """Every picture of ``caltech101`` or ``cifar10`` (its training part), downloaded on first use.

    Args:
        dataset: The data set's name.
        folder: Folder for downloads.

    Raises:
        ImportError: torchvision is not installed; it comes with the extra ``train``.
        ValueError: The data set is not one of ``DATASETS``.
        RuntimeError: The download failed or is damaged.
    """
    if dataset not in DATASETS:
        raise ValueError(f"{dataset!r} is not one of {', '.join(DATASETS)}")
    from torchvision.datasets import CIFAR10, Caltech101  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    if dataset == "caltech101":
        Caltech101(str(folder), download=True)
        yield from _files(folder / "caltech101" / "101_ObjectCategories")
    else:
        pictures = CIFAR10(str(folder), download=True)
        for row, (picture, label) in enumerate(pictures):
            kind = pictures.classes[label]
            content = io.BytesIO()
            picture.save(content, "PNG")
            yield DownloadedPicture(f"{kind}/{row:05}.png", kind, content.getvalue())


def _files(root: Path) -> Iterator[DownloadedPicture]:
    for path in sorted(root.glob("*/*.jpg")):
        yield DownloadedPicture(path.relative_to(root).as_posix(), path.parent.name, path.read_bytes())
