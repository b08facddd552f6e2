"""Where the extra ``train`` is not installed, only the tests that need no torch are collected."""

from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent

if find_spec("torch") is None:
    collect_ignore = [file.name for file in HERE.glob("test_*.py") if "mark.torch" in file.read_text()]
