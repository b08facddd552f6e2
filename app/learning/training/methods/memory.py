"""Keep the last results of slow functions of features: layers of several code lengths and seeds share them."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, Final, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.domain.ids import sha256_hex

KEPT: Final = 3
"""Results kept for each function."""
Settings = ParamSpec("Settings")
Item = TypeVar("Item", bound=np.generic)
OfFeatures = Callable[Concatenate[NDArray[np.float32], Settings], NDArray[Item]]


def keep_last(function: OfFeatures[Settings, Item]) -> OfFeatures[Settings, Item]:
    """Decorate a function of (features, settings) so that equal arguments are computed once.

    Features are compared by content. Callers must not change results, which others get too.
    """
    kept: dict[str, NDArray[Item]] = {}

    @wraps(function)
    def remembering(
        features: NDArray[np.float32], /, *args: Settings.args, **kwargs: Settings.kwargs
    ) -> NDArray[Item]:
        key = repr((sha256_hex(features.tobytes()), features.shape, args, sorted(kwargs.items())))
        if key not in kept:
            while len(kept) >= KEPT:
                kept.pop(next(iter(kept)))
            kept[key] = function(features, *args, **kwargs)
        return kept[key]

    return remembering
