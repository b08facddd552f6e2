"""Distances turn into words and shares as the model was measured."""

import pytest

from app.domain.calibration import Calibration, Likeness

QUANTILES = {
    "copies": {"p1": 1.0, "p5": 5.0, "p25": 14.0, "p50": 24.0, "p75": 38.0, "p95": 66.0, "p99": 87.0},
    "same_kind": {"p1": 9.0, "p5": 21.0, "p25": 40.0, "p50": 56.0, "p75": 77.0, "p95": 105.0, "p99": 119.0},
    "unrelated": {"p1": 95.0, "p5": 113.0, "p25": 125.0, "p50": 131.0, "p75": 137.0, "p95": 145.0},
}


@pytest.fixture
def calibration():
    return Calibration.of({"collection": "caltech101", "quantiles": QUANTILES}, has_descriptors=True)


@pytest.mark.parametrize(
    ("distance", "likeness"),
    [
        (0, Likeness.COPY),
        (21, Likeness.COPY),
        (22, Likeness.SIMILAR),
        (94, Likeness.SIMILAR),
        (95, Likeness.UNCLEAR),
        (124, Likeness.UNCLEAR),
        (125, Likeness.UNRELATED),
        (256, Likeness.UNRELATED),
    ],
)
def test_a_distance_is_what_the_quantiles_say(calibration, distance, likeness):
    assert calibration.likeness_of(distance) is likeness


@pytest.mark.parametrize(
    ("distance", "hash_distance", "is_copy"),
    [(0, 200, True), (400, 200, False), (400, 88, True), (0, None, False)],
)
def test_near_descriptors_make_copies_only_where_the_hashes_or_the_codes_are_near(
    calibration, distance, hash_distance, is_copy
):
    likeness = calibration.likeness_by_rule(distance, hash_distance, 0.01)

    assert (likeness is Likeness.COPY) == is_copy


def test_duplicates_are_three_quarters_of_the_copies_where_descriptors_confirm_them(calibration):
    assert calibration.duplicates.max_distance == QUANTILES["copies"]["p75"]
    assert 0 < calibration.duplicates.max_descriptor_distance < 1


def test_duplicates_are_half_of_the_copies_where_there_are_no_descriptors():
    duplicates = Calibration.of({"quantiles": QUANTILES}, has_descriptors=False).duplicates

    assert duplicates.max_distance == QUANTILES["copies"]["p50"]
    assert duplicates.max_descriptor_distance is None


def test_duplicates_are_at_most_similar():
    weak = QUANTILES | {"copies": {"p50": 140.0}}

    assert Calibration.of({"quantiles": weak}, has_descriptors=True).duplicates.max_distance == 94


def test_words_never_overlap_where_a_model_tells_little_apart():
    weak = {
        "copies": {"p1": 0.0, "p99": 16.0},
        "same_kind": {"p5": 12.0},
        "unrelated": {"p1": 8.0, "p25": 10.0},
    }

    bounds = Calibration.of({"quantiles": weak}, has_descriptors=True).bounds

    assert list(bounds.values()) == [12, 12, 12]


def test_shares_are_interpolated_between_quantiles(calibration):
    assert calibration.shares_within(24) == {"copies": 0.5, "same_kind": 0.0816, "unrelated": 0.0}
    assert calibration.shares_within(19)["copies"] == pytest.approx(0.375)
    assert calibration.shares_within(200) == {"copies": 1.0, "same_kind": 1.0, "unrelated": 1.0}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"quantiles": {}},
        {"quantiles": 3},
        {"quantiles": {"copies": {}}},
        {"quantiles": {"copies": {"p50": 1.0}, "same_kind": {"p50": 2.0}, "unrelated": {"p50": 3.0}}},
    ],
)
def test_a_model_that_was_not_measured_has_none(document):
    assert Calibration.of(document, has_descriptors=True) is None
