"""What words are taken for."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.words.meanings import Relation, meanings_of, nearest_words
from app.words.phrases import Phrase, parse_phrases, plain
from app.words.understanding import (
    MAX_PARTS,
    NotUnderstood,
    bit_weights,
    confidence_of,
    understand,
    word_weights,
)
from app.words.vocabulary import _load, vocabulary


def unwanted(words):
    return Phrase(words, is_wanted=False)


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("dog", [Phrase("dog")]),
        ("Dog,  GRASS", [Phrase("dog"), Phrase("grass")]),
        ("dog -cat", [Phrase("dog"), Phrase("cat", is_wanted=False)]),
        ("+dog -wild cat; t-shirt", [Phrase("dog"), Phrase("wild cat", is_wanted=False), Phrase("t-shirt")]),
        ("crane (Bird)", [Phrase("crane", "bird")]),
        (
            "crane: bird, -crane (machine)",
            [Phrase("crane", "bird"), Phrase("crane", "machine", is_wanted=False)],
        ),
        ("“red car!”", [Phrase("red car")]),
        ("dog ()", [Phrase("dog")]),
        ("dog - cat", [Phrase("dog"), Phrase("cat", is_wanted=False)]),
        ("dog + cat,- mouse", [Phrase("dog"), Phrase("cat"), Phrase("mouse", is_wanted=False)]),
        ("dog \u2212cat \u2013mouse \u2014 cow", [Phrase("dog"), *map(unwanted, ("cat", "mouse", "cow"))]),
        ("dog\uff0ccat", [Phrase("dog"), Phrase("cat")]),
    ],
)
def test_a_text_is_split_into_phrases(text, phrases):
    assert parse_phrases(text) == phrases


@given(st.text(max_size=200) | st.text("dog ()-+:,&\u2212", max_size=20))
def test_any_text_is_split_or_refused(text):
    try:
        phrases = parse_phrases(text)
    except ValueError:
        return
    assert all(phrase.words == plain(phrase.words) for phrase in phrases)


@pytest.mark.parametrize(
    ("words", "label"),
    [
        ("dogs", "canine"),
        ("mice", "electronic device"),
        ("wolves", "canine"),
        ("binocular", "optical instrument"),
        ("red car", "motor vehicle"),
        ("automobiles", "motor vehicle"),
        ("ice-cream", "frozen dessert"),
    ],
)
def test_plurals_spellings_and_compounds_are_known(words, label):
    assert meanings_of(words)[0].label == label


def test_a_broad_word_stands_for_all_its_kinds():
    (dog, *_) = meanings_of("dog")

    assert dog.relation is Relation.KINDS
    assert len(dog.classes) == 118
    assert "Beagle" in {vocabulary().class_names[i] for i in dog.classes}


def test_an_unknown_animal_stands_for_its_relatives():
    (deer, *_) = meanings_of("deer")

    names = {vocabulary().class_names[i] for i in deer.classes}
    assert deer.relation is Relation.RELATED
    assert "gazelle" in names
    assert "Beagle" not in names


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("dog and cat", ["dog", "cat"]),
        ("dog & cat", ["dog", "cat"]),
        ("dog on the beach with a ball", ["dog", "beach", "ball"]),
        ("dog without a cat", ["dog", "-cat"]),
        ("dog but no cat or", None),
        ("dog not cat and mouse", ["dog", "-cat", "-mouse"]),
        ("-dog and cat, mouse", ["-dog", "-cat", "mouse"]),
        ("bow and arrow", ["bow and arrow"]),
        ("dog or cat", None),
        ("no dog", None),
        ("and", None),
        (" and ".join(["dog"] * 9), None),
    ],
)
def test_joined_things_are_phrases_unless_they_are_a_word(text, phrases):
    if phrases is None:
        with pytest.raises(ValueError, match=r"must|names"):
            understand(text)
        return

    assert [str(one.phrase) for one in understand(text)] == phrases


def test_ignored_words_are_named_and_make_the_confidence_unknown():
    (red,), (photo,) = understand("red car"), understand("a photo of the car")

    assert (red.ignored, photo.ignored) == ("red", "")
    assert (confidence_of([red]), confidence_of([photo])) == (None, 0.9)


@pytest.mark.parametrize("text", ["anchor", "dog, cat", "dog -cat"])
def test_no_confidence_is_given_that_was_not_measured(text):
    assert confidence_of(understand(text)) is None


@pytest.mark.parametrize("words", ["man", "person", "tree", "grass", "as", "may"])
def test_people_large_groups_and_added_letters_relate_to_nothing(words):
    assert meanings_of(words) == ()


@pytest.mark.parametrize("words", ["buddha", "man", "woman"])
def test_no_other_people_are_offered_instead_of_a_person(words):
    assert not {"baseball player", "gorilla", "orangutan"} & set(nearest_words(words))


@pytest.mark.parametrize("words", ["thing", "love", "metronome", "teacher", "qqqq"])
def test_a_word_without_related_classes_is_not_understood(words):
    assert meanings_of(words) == ()


def test_a_hint_selects_a_meaning():
    assert {one.label for one in meanings_of("crane")} == {"lifting device", "wading bird"}
    assert [one.label for one in meanings_of("crane", "bird")] == ["wading bird"]
    assert [one.label for one in meanings_of("crane", "device")] == ["lifting device"]


def test_calls_at_the_same_time_load_the_vocabulary_once():
    _load.cache_clear()
    found, start = [], threading.Barrier(3)

    def load():
        start.wait()
        found.append(vocabulary())

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert _load.cache_info().misses == 1
    assert len({id(one) for one in found}) == 1


def test_words_of_a_similar_spelling_are_suggested():
    assert "sunflower" in nearest_words("sunflowr")


def test_a_phrase_that_is_not_understood_is_named():
    with pytest.raises(NotUnderstood) as caught:
        understand("dog, qqqq")

    assert caught.value.words == "qqqq"


def test_each_phrase_counts_alike_and_unwanted_ones_half():
    weights = np.random.default_rng(1).standard_normal((1000, 64)).astype(np.float32)

    def unit(words):
        mean = weights[list(meanings_of(words)[0].classes)].astype(np.float64).mean(axis=0)
        return mean / np.linalg.norm(mean)

    found = bit_weights(understand("dog, accordion -pizza"), weights)

    assert found == pytest.approx(unit("dog") + unit("accordion") - unit("pizza") / 2, abs=1e-6)


def test_a_broad_word_has_weights_for_groups_of_its_kinds():
    weights = np.random.default_rng(2).standard_normal((1000, 64)).astype(np.float32)

    broad = word_weights(understand("dog"), weights)
    sum_of_two = word_weights(understand("dog, pizza"), weights)
    related = word_weights(understand("deer"), weights)

    sizes = np.exp(np.array(broad.biases) / broad.softness)
    assert len(broad.rows) == MAX_PARTS
    assert sizes.sum() == pytest.approx(118)
    classes = list(meanings_of("dog")[0].classes)
    assert sizes @ broad.rows / 118 == pytest.approx(weights[classes].mean(axis=0), abs=1e-5)
    assert len(sum_of_two.rows) == len(related.rows) == 1


def test_every_class_is_understood_by_one_of_its_names():
    known = vocabulary()
    understood = {
        i
        for name, classes in known.named.items()
        for one in meanings_of(plain(name))
        for i in classes
        if i in one.classes
    }

    assert understood == set(range(1000))
