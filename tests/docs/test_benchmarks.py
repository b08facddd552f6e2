"""Benchmarks are run by hand, so a test holds what they import from the application."""

import ast
import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_a_benchmark_imports_from_the_application_exists(script):
    for node in ast.walk(ast.parse((FOLDER / script).read_text())):
        if not isinstance(node, ast.ImportFrom) or not f"{node.module}.".startswith("app."):
            continue
        if node.module.startswith("app.learning"):  # needs torch
            continue
        module = importlib.import_module(node.module)
        for name in node.names:
            is_there = hasattr(module, name.name)
            assert is_there or importlib.util.find_spec(f"{node.module}.{name.name}"), (
                f"{node.module}.{name.name}"
            )
