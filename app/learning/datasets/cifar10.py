"""CIFAR-10 (Krizhevsky 2009): 60,000 pictures of 32×32 pixels, 10 kinds."""

from pathlib import Path
from typing import Final

from app.learning.datasets.folder import load_pictures
from app.learning.datasets.splits import Split, first_of_each_kind

QUERIES_PER_KIND: Final = 100


def split_cifar10(data_dir: Path) -> Split:
    """The fixed split: gallery = train (50,000), queries = the first 100 test pictures of each kind by name.

    Reads ``cifar10.zip`` (or a folder ``cifar10``) with ``train/<kind>/*`` and ``test/<kind>/*``.

    Raises:
        FileNotFoundError: ``data_dir`` contains neither.
    """
    path = data_dir / "cifar10.zip"
    if not path.exists():
        path = data_dir / "cifar10"
    gallery = load_pictures(path, "cifar10", under="train/")
    test = load_pictures(path, "cifar10", under="test/")
    queries = test.subset(first_of_each_kind(test.labels, QUERIES_PER_KIND))
    return Split(
        gallery, queries, "gallery = train, queries = the first 100 test pictures of each kind by name"
    )
