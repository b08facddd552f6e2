"""The private numba option by which kernels go without reference counting, held to what it has to do."""

import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numba import njit
from packaging.requirements import Requirement

from app.index.distance_kernels import LEAF, OPTIONS, lane_minima

PROJECT = Path(__file__).parents[3] / "pyproject.toml"
# Small enough to compile at once; the slice is what numba would count references of.
UNCACHED = {"cache": False}


def llvm_of(options):
    def first_of_half(values):
        half = values[: len(values) // 2]
        return half[0]

    compiled = njit(**options | UNCACHED)(first_of_half)
    compiled(np.zeros(4, np.uint64))
    (code,) = compiled.inspect_llvm().values()
    return code


def test_numba_has_an_upper_bound_and_is_below_it():
    declared = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    (numba,) = (Requirement(line) for line in declared if Requirement(line).name == "numba")

    assert any(bound.operator == "<" for bound in numba.specifier), "`_nrt` is private: cap numba's version"
    assert numba.specifier.contains(version("numba"))


def test_the_private_option_still_switches_reference_counting_off():
    """Fails when numba drops or ignores `_nrt`; then measure the scan without it before the cap is raised."""
    assert "NRT_" in llvm_of(OPTIONS | {"_nrt": True})
    assert "NRT_" not in llvm_of(LEAF)


def test_the_kernels_use_the_option():
    assert LEAF["_nrt"] is False
    assert lane_minima.targetoptions["_nrt"] is False
