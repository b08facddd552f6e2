"""Import large modules without collecting garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected_imports() -> Iterator[None]:
    """Suspend garbage collection while modules are imported, and exempt what they create from it afterwards.

    Modules create hundreds of thousands of objects and almost no garbage. Traversing them repeatedly
    would take a fifth of a server's start, and later a part of each full collection.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
