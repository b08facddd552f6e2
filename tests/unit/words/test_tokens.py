"""Words in metadata."""

import pytest

from app.words.tokens import forms_of, words_of


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"tags": "Red Car"}, {"red car"}),
        ({"tags": "dog, grass; Old_Tree | sky"}, {"dog", "grass", "old tree", "sky"}),
        ({"tags": ["dog", "Dog", 7, None, {"a": "b"}]}, {"dog"}),
        ({"tags": "A dog runs across the wet grass."}, {"dog", "runs", "across", "wet", "grass"}),
        ({"tags": {"of": {"kind": "dog"}}}, set()),
        ({"of": {"kind": "dog"}}, {"dog"}),
        ({"of.kind": "cat"}, {"cat"}),
        ({"tags": 2024}, set()),
        ({"tags": "2024, ?, " + "x" * 61}, set()),
        ({"other": "dog"}, set()),
    ],
)
def test_labels_lists_and_captions_are_split_into_words(metadata, words):
    assert words_of(metadata, ["tags", "of.kind"]) == words


def test_a_word_is_found_in_the_singular_and_the_plural():
    assert "sunflower" in forms_of("sunflowers")
    assert "sunflowers" in forms_of("sunflower")
    assert "butterfly" in forms_of("butterflies")
    assert forms_of("grass")[0] == "grass"
