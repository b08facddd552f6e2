"""Words are learned from tagged codes, and measured on codes that they were not learned from."""

import numpy as np
import pytest

from app.domain.codes import pack_signs, unpack_signs
from app.words.learning import WordLearner

BITS = 64
KINDS = 5


@pytest.fixture(scope="module")
def pictures():
    """Codes of pictures of five kinds, and their kinds."""
    rng = np.random.default_rng(7)
    kinds = np.repeat(np.arange(KINDS), 40)
    centres = rng.standard_normal((KINDS, BITS))
    return pack_signs((centres[kinds] + rng.standard_normal((len(kinds), BITS))).astype(np.float32)), kinds


def rows_of(kinds, kind, count=40):
    return np.flatnonzero(kinds == kind)[:count].tolist()


def test_a_word_ranks_pictures_of_its_kind_first(pictures):
    codes, kinds = pictures

    word = WordLearner(codes, BITS).learn({"zero": rows_of(kinds, 0, 10)}, {}, 0.5)[0]

    scores = unpack_signs(codes, BITS) @ word.weights
    assert set(kinds[np.argsort(-scores)[:20]]) == {0}
    assert word.pictures == 10


def test_what_codes_say_is_offered_and_what_they_do_not_say_is_not(pictures):
    codes, kinds = pictures
    random = np.random.default_rng(1).choice(len(codes), 40, replace=False).tolist()

    found = WordLearner(codes, BITS).learn(
        {"kind": rows_of(kinds, 2), "random": random, "every": list(range(len(codes)))}, {}, 0.5
    )

    assert [one.is_offered for one in found] == [True, False, False]
    kind, chance = found[0], found[1]
    assert kind.precision_at_10 > 0.9
    assert kind.average_precision > 0.9
    # Weights learned from the same 40 pictures would rank many of them first.
    assert chance.average_precision < 0.35


def test_a_bound_above_the_precision_withholds_a_word(pictures):
    codes, kinds = pictures
    learner = WordLearner(codes, BITS)
    noisy = rows_of(kinds, 1, 20) + rows_of(kinds, 3, 1)

    found = learner.learn({"noisy": noisy}, {}, 0.0)[0]
    withheld = learner.learn({"noisy": noisy}, {}, 1.0)[0]

    assert found.is_offered
    assert found.precision_at_10 < 1
    assert not withheld.is_offered


def test_copies_are_not_evidence_for_each_other():
    rng = np.random.default_rng(3)
    codes = pack_signs(rng.standard_normal((60, BITS)).astype(np.float32))
    codes = np.concatenate([codes, codes[:1].repeat(10, axis=0)])

    word = WordLearner(codes, BITS).learn({"copies": [0, *range(60, 70)]}, {}, 0.5)[0]

    assert word.precision_at_10 == 0
    assert not word.is_offered


def test_a_name_helps_where_few_pictures_are_tagged(pictures):
    codes, kinds = pictures
    signs = unpack_signs(codes, BITS).astype(np.float32)
    prior = signs[kinds == 4].mean(axis=0) - signs.mean(axis=0)
    tagged = {"four": rows_of(kinds, 4, 1)}
    learner = WordLearner(codes, BITS)

    alone = learner.learn(tagged, {}, 0.5)[0]
    named = learner.learn(tagged, {"four": prior}, 0.5)[0]
    against = learner.learn(tagged, {"four": -prior}, 0.5)[0]

    def right(word):
        return np.mean(kinds[np.argsort(-(signs @ word.weights))[:40]] == 4)

    assert right(named) > right(alone)
    # A name that contradicts the tags is not used.
    assert np.allclose(against.weights, alone.weights)


def test_estimates_are_shares_and_reach_the_threshold_for_pictures_of_the_kind(pictures):
    codes, kinds = pictures
    word = WordLearner(codes, BITS).learn({"one": rows_of(kinds, 1)}, {}, 0.5)[0]

    estimates = unpack_signs(codes, BITS) @ word.weights + word.offset

    assert estimates.mean() == pytest.approx(1 / KINDS, abs=1e-4)
    given = estimates >= word.threshold
    assert np.mean(given[kinds == 1]) > 0.85
    assert np.mean(given[kinds != 1]) < 0.05


@pytest.mark.parametrize("count", [1, 3])
def test_few_pictures_can_be_learned_from(count):
    codes = pack_signs(np.random.default_rng(0).standard_normal((count, BITS)).astype(np.float32))

    word = WordLearner(codes, BITS).learn({"all": list(range(count))}, {}, 0.0)[0]

    assert not word.is_offered
    assert np.isfinite(word.weights).all()
