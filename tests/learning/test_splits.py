"""What is learned from and what is measured on, where some pictures have no label."""

import numpy as np
import pytest

from app.learning.datasets.folder import load_pictures
from app.learning.datasets.splits import split_every_tenth
from app.learning.datasets.stored import split_stored


def collection(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def test_pictures_below_the_named_folder_are_learned_from_and_not_measured_on(tmp_path):
    folder = collection(
        tmp_path,
        "a/1.jpg",
        "a/2.jpg",
        "b/1.jpg",
        "b/2.jpg",
        "rest/3.jpg",
        "rest/a/4.jpg",
        "arest/5.jpg",
        "arest/6.jpg",
    )

    split = split_every_tenth(load_pictures(folder, unlabelled="rest"))

    assert split.gallery.kinds == ("a", "arest", "b")
    assert split.queries.names == ("a/1.jpg", "arest/5.jpg", "b/1.jpg")
    assert split.gallery.names == ("a/2.jpg", "arest/6.jpg", "b/2.jpg")
    assert split.learned.names == (*split.gallery.names, "rest/3.jpg", "rest/a/4.jpg")
    np.testing.assert_array_equal(split.learned.labels, [0, 1, 2, -1, -1])
    assert split.learned.sha256s()[:3] == split.gallery.sha256s()


def test_where_all_have_a_label_what_is_learned_from_is_the_gallery(tmp_path):
    split = split_every_tenth(load_pictures(collection(tmp_path, "a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg")))

    assert split.unlabelled is None
    assert split.learned is split.gallery
    assert "without a label" not in split.rule


@pytest.mark.parametrize("labelled", [(), ("a/1.jpg", "a/2.jpg"), ("a/1.jpg", "a/2.jpg", "b/1.jpg")])
def test_too_few_labels_are_refused(tmp_path, labelled):
    pictures = load_pictures(collection(tmp_path, *labelled, "rest/3.jpg"), unlabelled="rest")

    with pytest.raises(ValueError, match="two kinds"):
        split_every_tenth(pictures)


def test_a_collections_labels_count_though_some_lack_them_only_where_that_will_do():
    pictures = [(f"p{i:02}", ("red", "blue")[i % 2] if i < 8 else None) for i in range(30)]

    by_labels = split_stored("mine", pictures, str.encode, some_labels_do=True)
    by_copies = split_stored("mine", pictures, str.encode)

    assert (len(by_labels.gallery), len(by_labels.queries), len(by_labels.learned)) == (6, 2, 28)
    assert "edited copy" in by_copies.rule
    assert len(by_copies.learned) == len(by_copies.gallery) == 30
