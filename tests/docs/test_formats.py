"""The documentation names the formats that the service accepts."""

from pathlib import Path

import pytest

from app.images.formats import ACCEPTED_NAMES

ROOT = Path(__file__).resolve().parents[2]
SENTENCE = f"Accepted formats: {ACCEPTED_NAMES}."


def lines(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.startswith("Accepted formats:")]


def test_the_page_on_formats_names_them_all():
    assert lines("docs/formats.md") == [SENTENCE]


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_no_page_names_other_formats(page):
    assert set(lines(page)) <= {SENTENCE}
