"""One name, one thing: no two public classes share a name."""

import re
from collections import Counter
from pathlib import Path

APP = Path(__file__).resolve().parents[2] / "app"


def test_no_public_class_name_stands_for_two_things():
    names = Counter(
        name
        for path in APP.rglob("*.py")
        for name in re.findall(r"^class ([A-Z]\w*)", path.read_text(), re.MULTILINE)
    )

    assert len(names) > 300
    assert [name for name, count in names.items() if count > 1] == []
