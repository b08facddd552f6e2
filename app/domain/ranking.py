"""Decide whether a trained model's descriptors order results better than its codes."""

from collections.abc import Mapping
from typing import Any, Final

FIGURES: Final = ("map", "precision_at_10")
"""Figures of held-out kinds that decide, each measured ``…_by_code`` and ``…_by_descriptor``."""


def descriptors_gain(calibration: Mapping[str, Any]) -> bool:
    """Return whether a card's held-out figures say that re-ranking by descriptors finds kinds better.

    They do if neither the mAP nor P@10 is lower than that of the codes, and one is higher. Without such figures
    the answer is no.

    Args:
        calibration: That of the model's manifest; ``comparison`` holds the figures.
    """
    try:
        measured = calibration["comparison"]["kinds"]["new"]
        gains = [
            float(measured[f"{name}_by_descriptor"]) - float(measured[f"{name}_by_code"]) for name in FIGURES
        ]
    except (KeyError, TypeError):
        return False
    return min(gains) >= 0 and max(gains) > 0
