"""Tune how glibc allocates memory in this process; other C libraries are left as they are."""

import contextlib
import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
"""From glibc's malloc.h, like the next constant."""
_M_ARENA_MAX: Final = -8
_LARGE_BYTES: Final = 4_194_304


def use_one_heap() -> None:
    """Make all threads allocate from one heap; call before any of them starts.

    By default glibc gives each thread its own heap. Memory that one thread allocates and another frees then
    fragments all of them: a few hundred bytes for each picture, as long as an import lasts.
    """
    _set(_M_ARENA_MAX, 1)


def return_large_blocks() -> None:
    """Make blocks of 4 MiB or more go back to the system when they are freed.

    By default glibc raises this limit to 32 MiB as it meets such blocks, and takes them from the heap
    thereafter. Small blocks in between then keep the memory of files that were read long ago.
    """
    _set(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def _set(parameter: int, value: int) -> None:
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(parameter, value)
