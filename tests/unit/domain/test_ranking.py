"""A trained model's card decides whether its descriptors order results."""

import pytest

from app.domain.ranking import descriptors_gain


def measured(by_code, by_descriptor):
    figures = dict(zip(("map_by_code", "precision_at_10_by_code"), by_code, strict=True))
    figures |= dict(zip(("map_by_descriptor", "precision_at_10_by_descriptor"), by_descriptor, strict=True))
    return {"comparison": {"kinds": {"new": figures}}}


@pytest.mark.parametrize(
    ("calibration", "gains"),
    [
        ({}, False),
        ({"comparison": {"against": "lite2-256"}}, False),
        ({"comparison": {"kinds": {"new": {"map_by_code": 0.7, "precision_at_10_by_code": 0.8}}}}, False),
        ({"comparison": None}, False),
        (measured((0.7, 0.8), (0.7, 0.8)), False),
        (measured((0.7, 0.8), (0.71, 0.8)), True),
        (measured((0.7, 0.8), (0.7, 0.81)), True),
        (measured((0.7, 0.8), (0.72, 0.79)), False),
        (measured((0.7, 0.8), (0.69, 0.9)), False),
    ],
)
def test_descriptors_must_gain_and_lose_nothing(calibration, gains):
    assert descriptors_gain(calibration) is gains
