"""What is learned from and what is measured on, where some pictures have no label."""

import numpy as np
import pytest

from app.learning.datasets.folder import load_pictures
from app.learning.datasets.splits import split_every_tenth
from app.learning.datasets.training_splits import split_own_pictures, split_stored_pictures, validation_split


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
    assert split.training_pictures.names == (*split.gallery.names, "rest/3.jpg", "rest/a/4.jpg")
    np.testing.assert_array_equal(split.training_pictures.labels, [0, 1, 2, -1, -1])
    assert split.training_pictures.sha256s()[:3] == split.gallery.sha256s()


def test_where_all_have_a_label_what_is_learned_from_is_the_gallery(tmp_path):
    split = split_every_tenth(load_pictures(collection(tmp_path, "a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg")))

    assert split.unlabelled is None
    assert split.training_pictures is split.gallery
    assert "without a label" not in split.rule


@pytest.mark.parametrize("labelled", [(), ("a/1.jpg", "a/2.jpg"), ("a/1.jpg", "a/2.jpg", "b/1.jpg")])
def test_too_few_labels_are_refused(tmp_path, labelled):
    pictures = load_pictures(collection(tmp_path, *labelled, "rest/3.jpg"), unlabelled="rest")

    with pytest.raises(ValueError, match="two kinds"):
        split_every_tenth(pictures)


def test_a_collections_labels_count_though_some_lack_them_only_where_that_will_do():
    pictures = [(f"p{i:02}", ("red", "blue")[i % 2] if i < 8 else None) for i in range(30)]

    by_labels = split_stored_pictures("mine", pictures, str.encode, partial_labels=True)
    by_copies = split_stored_pictures("mine", pictures, str.encode)

    assert (len(by_labels.gallery), len(by_labels.queries), len(by_labels.training_pictures)) == (6, 2, 28)
    assert "edited copy" in by_copies.rule
    assert len(by_copies.training_pictures) == len(by_copies.gallery) == 30


@pytest.mark.parametrize(
    "names",
    [
        tuple(f"{i:02}.jpg" for i in range(30)),
        tuple(f"one/{i:02}.jpg" for i in range(30)),
        tuple(f"kind{i:02}/a.jpg" for i in range(30)),
        (*(f"one/{i:02}.jpg" for i in range(29)), "two/only.jpg"),
    ],
    ids=["flat", "one kind", "kinds of one picture", "one kind and one picture"],
)
def test_pictures_whose_kinds_cannot_be_measured_are_split_by_copies(tmp_path, names):
    split = split_own_pictures(load_pictures(collection(tmp_path, *names)))

    assert not split.has_kinds
    assert len(split.gallery) == len(names)
    assert split.queries.names == tuple(sorted(names))[::10]
    assert len(set(split.gallery.labels.tolist())) == len(names)
    # A copy is relevant to its original.
    assert [split.gallery.names[label] for label in split.queries.labels] == list(split.queries.names)


def test_a_picture_outside_any_folder_has_no_kind(tmp_path):
    pictures = load_pictures(collection(tmp_path, "a/1.jpg", "b/2.jpg", "3.jpg"))

    assert pictures.kinds == ("a", "b")
    assert pictures.names == ("3.jpg", "a/1.jpg", "b/2.jpg")
    np.testing.assert_array_equal(pictures.labels, [-1, 0, 1])


def test_a_validation_split_of_pictures_without_kinds_leaves_nothing_out_of_the_gallery(tmp_path):
    split = split_own_pictures(load_pictures(collection(tmp_path, *(f"{i:02}.jpg" for i in range(30)))))

    inner = validation_split(split)

    assert len(inner.gallery) == 30
    assert not inner.has_kinds


def test_a_picture_that_cannot_be_decoded_is_named(tmp_path):
    pictures = load_pictures(collection(tmp_path, "a/1.jpg"))

    with pytest.raises(ValueError, match=r"a/1\.jpg cannot be decoded"):
        pictures.pixels(0)


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("not a zip")

    with pytest.raises(ValueError, match="neither a folder nor a zip"):
        load_pictures(tmp_path / "notes.txt")
