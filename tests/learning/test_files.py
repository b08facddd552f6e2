"""What the files of a collection tell about their history."""

import io

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from app.learning.datasets.pictures import LabelledPictures
from app.learning.research.files import Files

pytestmark = pytest.mark.torch


class Drawn:
    """Grey pictures of one size, in the format of their name."""

    def __init__(self, side):
        self.side = side

    def read(self, name):
        written = io.BytesIO()
        Image.fromarray(np.full((self.side // 2, self.side, 3), 90, np.uint8)).save(
            written, "PNG" if name.endswith("png") else "JPEG"
        )
        return written.getvalue()


@pytest.mark.parametrize(
    ("collection", "suffix", "side", "changes"),
    [
        ("cifar10", "png", 32, ""),
        ("cifar10", "jpg", 32, "re-encoded with loss"),
        ("caltech101", "jpg", 300, ""),
        ("caltech101", "jpg", 192, "scaled down from about 300 pixels and re-encoded with loss"),
        ("any-other", "jpg", 20, ""),
    ],
)
def test_pictures_that_were_changed_since_their_publication_are_recognised(collection, suffix, side, changes):
    pictures = LabelledPictures.from_paths(collection, [f"a/{i}.{suffix}" for i in range(3)], Drawn(side))

    files = Files.of(pictures)

    assert files.changes == changes
    assert str(files).startswith(f".{suffix} files of at most {side} pixels")
