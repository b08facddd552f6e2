"""The sample gallery: reproducible, varied, and described so that filters can be tried."""

import io
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from app.domain.filters import check_metadata
from app.domain.ids import parse_image_id
from tools.sample_gallery import SamplePicture, draw_gallery
from tools.sample_gallery.gallery import PAINTERS

pytestmark = pytest.mark.slow

GROUPS = [group for painters in PAINTERS.values() for group in painters]


@pytest.fixture(scope="module")
def pictures() -> list[SamplePicture]:
    return list(draw_gallery(seed=0, per_group=2))


def test_the_same_seed_draws_the_same_bytes(pictures):
    again = islice(draw_gallery(seed=0, per_group=2), len(GROUPS))

    assert list(again) == pictures[: len(GROUPS)]


def test_another_seed_draws_other_pictures(pictures):
    other = next(draw_gallery(seed=1, per_group=1))

    assert other.name == pictures[0].name
    assert other.jpeg != pictures[0].jpeg


def test_a_smaller_gallery_is_part_of_a_larger_one(pictures):
    first_of_each = islice(draw_gallery(seed=0, per_group=1), 5)

    assert list(first_of_each) == pictures[:5]


def test_groups_take_turns_and_names_are_unique(pictures):
    assert [p.group for p in pictures] == GROUPS * 2
    assert len({p.name for p in pictures}) == len({p.jpeg for p in pictures}) == len(pictures)


def test_every_picture_is_a_jpeg_of_256_pixels_a_side(pictures):
    for picture in pictures:
        image = Image.open(io.BytesIO(picture.jpeg))
        image.load()
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (256, 256))


def test_every_picture_shows_something(pictures):
    for picture in pictures:
        pixels = np.asarray(Image.open(io.BytesIO(picture.jpeg)).convert("L"))
        assert pixels.std() > 6, f"{picture.name} is nearly flat"


def test_names_can_be_ids_and_metadata_can_be_stored(pictures):
    for picture in pictures:
        assert parse_image_id(picture.name) == picture.name
        assert check_metadata(picture.metadata) == picture.metadata


def test_metadata_tells_label_kind_colour_and_brightness(pictures):
    kinds = {group: kind for kind, painters in PAINTERS.items() for group in painters}
    for picture in pictures:
        assert picture.metadata["label"] == picture.group
        assert picture.metadata["kind"] == kinds[picture.group]
        assert isinstance(picture.metadata["colour"], str)
        assert 0 < float(picture.metadata["brightness"]) < 1


def test_colours_differ_enough_to_filter_by(pictures):
    assert len(Counter(p.metadata["colour"] for p in pictures)) >= 6


def test_nothing_is_drawn_before_it_is_asked_for():
    endless = draw_gallery(seed=0, per_group=10**9)

    assert next(endless).name == f"{GROUPS[0]}-01"
