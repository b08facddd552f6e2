"""Pages that repeat figures of the report say what the report says, to as many digits as they give."""

from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    "README.md": DOCS.parent / "README.md",
    "decision 14": DOCS / "decisions" / "0014-the-paper-collapses.md",
    "decision 60": DOCS / "decisions" / "0060-the-papers-figures-are-compared-with-intervals.md",
}


def table(title):
    """Rows of a table of the report, by their label and code length, as dicts by column."""
    text = (DOCS / "research" / "report.md").read_text()
    lines = text[text.index(f"## {title}") :].split("\n\n")[1].splitlines()
    columns, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    named = (dict(zip(("label", *columns[1:]), row, strict=True)) for row in rows)
    return {(row["label"], row["bits"]): row for row in named}


READINGS = table("The paper's method, by reading")


@pytest.mark.parametrize("label", [label for label, _ in READINGS if label.startswith("cifar10: ")])
def test_the_decision_has_the_readings_of_the_report(label):
    reported = READINGS[label, "32"]
    lines = PAGES["decision 14"].read_text().splitlines()

    row = next(line for line in lines if line.startswith(f"| {label.removeprefix('cifar10: ')} |"))

    _, codes, figure = (cell.strip() for cell in row.strip("|").split("|"))
    assert codes == reported["distinct codes"]
    assert float(figure) == pytest.approx(float(reported["mAP"]), abs=5e-4)
