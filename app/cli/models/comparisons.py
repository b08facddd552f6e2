"""Describe in words how a new model compares with the one in use."""

from typing import Any, Final

_NAMES: Final = {
    "map_by_code": "mAP by code",
    "map_by_descriptor": "mAP with descriptors",
    "recall_at_1_by_code": "recall@1 by code",
    "recall_at_1_by_descriptor": "recall@1 with descriptors",
    "precision_at_10_by_code": "P@10 by code",
    "precision_at_10_by_descriptor": "P@10 with descriptors",
}


def comparison_lines(comparison: dict[str, Any] | None) -> list[str]:
    """Return sentences on kinds and on copies; none if nothing was compared."""
    if not comparison:
        return []
    lines = []
    for subject in ("kinds", "copies"):
        of = comparison.get(subject)
        if of is None:
            continue
        figures = ", ".join(
            f"{title} {of['old'].get(key, float('nan')):.3f} → {of['new'][key]:.3f}"
            for key, title in _NAMES.items()
            if key in of["new"] and key in of["old"]
        )
        word = "from" if of["verdict"].endswith("difference") else "than"
        lines.append(f"{subject}: {of['verdict']} {word} {comparison['against']} ({figures})")
        lines.append(f"  {of['queries']:,} queries; relevant is: {of['relevant']}")
        if of.get("note"):
            lines.append(f"  but {of['note']}")
    return lines
