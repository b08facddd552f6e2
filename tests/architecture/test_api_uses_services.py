"""The api calls services; it opens no unit of work."""

import ast
from pathlib import Path

API = Path(__file__).resolve().parents[2] / "app" / "api"


def test_the_api_does_not_touch_the_database():
    uses = [
        f"{path.name}:{node.lineno}"
        for path in sorted(API.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "database"
    ]

    assert uses == []
