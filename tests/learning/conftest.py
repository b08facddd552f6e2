"""Where the extra ``train`` is not installed, only the tests that need no torch are collected."""

import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent

if find_spec("torch") is None:
    collect_ignore = [file.name for file in HERE.glob("test_*.py") if "mark.torch" in file.read_text()]


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """The tests' tensors are small: threads would wait for one another longer than they compute."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _one_registry() -> Iterator[None]:
    """Let torch read its operators for ONNX once; it parses their sources again for each export."""
    if "torch" not in sys.modules:
        yield
        return
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib)))
        yield
