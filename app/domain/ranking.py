"""Decide whether a trained model's descriptors order results better than its codes."""

from collections.abc import Mapping
from typing import Any, Final

FIGURES: Final = ("map", "precision_at_10")
"""Figures of held-out kinds that decide; each is measured ``…_by_code`` and ``…_by_descriptor``."""


def descriptors_gain(calibration: Mapping[str, Any]) -> bool:
    """Return whether a card's held-out figures show that re-ranking by descriptors finds kinds better.

    They do if neither mAP nor P@10 is lower than that of the codes, and one is higher. False without such
    figures.

    Args:
        calibration: The calibration in the model's manifest; ``comparison`` holds the figures.
    """
    try:
        measured = calibration["comparison"]["kinds"]["new"]
        gains = [
            float(measured[f"{name}_by_descriptor"]) - float(measured[f"{name}_by_code"]) for name in FIGURES
        ]
    except (KeyError, TypeError):
        return False
    return min(gains) >= 0 and max(gains) > 0
