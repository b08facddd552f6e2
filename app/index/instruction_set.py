"""The vector instructions that numba compiles the kernels for."""

import os
from typing import Final

import llvmlite.binding

_WIDEST_FIRST: Final = ("avx512f", "avx2", "avx", "sse4.2", "neon")


def instruction_set() -> str:
    """Return the widest instruction set of this processor, or of ``NUMBA_CPU_FEATURES``; else ``baseline``."""
    given = os.environ.get("NUMBA_CPU_FEATURES")
    features = (given or llvmlite.binding.get_host_cpu_features().flatten()).split(",")
    return next((name for name in _WIDEST_FIRST if f"+{name}" in features), "baseline")
