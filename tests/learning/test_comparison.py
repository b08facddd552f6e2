"""Two models on the same queries: figures, and a verdict that chance over the queries does not make."""

import numpy as np
import pytest

pytest.importorskip("torch")

from app.cli.models.comparisons import comparison_lines
from app.domain.codes import pack_signs
from app.learning.datasets.edits import EDITS
from app.learning.datasets.pictures import LabelledPictures
from app.learning.datasets.splits import split_every_tenth
from app.learning.datasets.training_splits import split_own_pictures
from app.learning.training.artifacts.comparison import compare_models
from app.learning.training.artifacts.outputs import Outputs

pytestmark = pytest.mark.torch

KINDS, PER_KIND, DIM = 4, 30, 32


class Drawn:
    """A model whose outputs are the positions of pictures, blurred."""

    def __init__(self, positions, noise, *, has_descriptors=True):
        self.positions, self.noise, self.has_descriptors = positions, noise, has_descriptors

    def outputs(self, pictures, edit=None):
        seed = 0 if edit is None else 1 + list(EDITS).index(edit)
        moved = np.stack([self.positions[name] for name in pictures.names])
        moved = moved + 0.05 * np.random.default_rng(seed).standard_normal(moved.shape)
        hidden = np.random.default_rng(100 + seed + len(moved)).standard_normal(moved.shape) * self.noise
        descriptors = np.clip(moved * 40, -127, 127).astype(np.int8)
        return Outputs(
            pack_signs((moved + hidden).astype(np.float32)), descriptors if self.has_descriptors else None
        )


@pytest.fixture(scope="module")
def positions():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((KINDS, DIM))
    names = [f"k{kind}/{i:02}" for kind in range(KINDS) for i in range(PER_KIND)]
    return {name: centres[int(name[1])] + 0.6 * rng.standard_normal(DIM) for name in names}


def pictures_of(positions, *, labelled):
    kinds = [name.split("/")[0] if labelled else None for name in sorted(positions)]
    return LabelledPictures.from_kinds("drawn", tuple(sorted(positions)), kinds, source=None)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_blurred_model_is_worse_at_kinds_and_equal_at_copies_by_the_same_descriptors(positions, labelled):
    split = split_own_pictures(pictures_of(positions, labelled=labelled))
    sharp, blurred = Drawn(positions, 0.0), Drawn(positions, 3.0)

    compared = compare_models(blurred, sharp, split, old_name="sharp", old_digest="d")

    assert (compared["against"], compared["digest"]) == ("sharp", "d")
    assert ("same kind" in compared["kinds"]["relevant"]) == labelled
    figures = compared["kinds"]
    assert figures["old"]["map_by_code"] > figures["new"]["map_by_code"]
    assert figures["old"]["precision_at_10_by_code"] > figures["new"]["precision_at_10_by_code"]
    copies = compared["copies"]
    assert copies["new"]["recall_at_1_by_code"] < copies["old"]["recall_at_1_by_code"]
    assert copies["new"]["recall_at_1_by_descriptor"] == copies["old"]["recall_at_1_by_descriptor"]
    # Equal with descriptors, and it does not hide what is worse without them.
    assert (copies["verdict"], copies["by_code"]) == ("no clear difference", "worse")
    for word in (f"{copies['new']['recall_at_1_by_code']:.3f}", f"{copies['old']['recall_at_1_by_code']:.3f}"):
        assert word in copies["note"]
    if not labelled:
        assert figures["verdict"] == "worse"


def test_what_the_codes_alone_lose_is_said_where_the_verdict_is_read(positions):
    split = split_own_pictures(pictures_of(positions, labelled=True))
    compared = compare_models(
        Drawn(positions, 3.0), Drawn(positions, 0.0), split, old_name="sharp", old_digest="d"
    )

    lines = comparison_lines(compared)

    notes = [compared[subject]["note"] for subject in ("kinds", "copies")]
    assert notes[1] is not None
    assert [line for line in lines if line.startswith("  but ")] == [f"  but {note}" for note in notes if note]


def test_a_model_is_not_better_or_worse_than_itself(positions):
    split = split_every_tenth(pictures_of(positions, labelled=True))
    model = Drawn(positions, 0.5)

    compared = compare_models(model, model, split, old_name="same", old_digest="d")

    for subject in ("kinds", "copies"):
        assert (compared[subject]["verdict"], compared[subject]["difference"]) == ("no clear difference", 0)
        assert (compared[subject]["by_code"], compared[subject]["note"]) == ("no clear difference", None)


def test_without_kinds_and_descriptors_only_copies_are_compared(positions):
    split = split_own_pictures(pictures_of(positions, labelled=False))
    sharp, plain = Drawn(positions, 0.0), Drawn(positions, 3.0, has_descriptors=False)

    compared = compare_models(sharp, plain, split, old_name="plain", old_digest="d")

    assert "kinds" not in compared
    assert compared["copies"]["verdict"] == "better"
