"""Build the shipped models by name (``lookalike models build``)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from app.encoding.artifact import Artifact
from app.learning.datasets.caltech101 import split_caltech101
from app.learning.training.end_to_end.pipeline import train_end_to_end_artifact
from app.learning.training.frozen_encoder.pipeline import build_frozen_encoder_artifacts
from app.learning.training.recipe import RECIPES


def build_shipped_models(name: str, data_dir: Path, out_dir: Path, *, fp32: bool = False) -> list[Artifact]:
    """Build a shipped model and the models that share its encoder file.

    Args:
        name: A key of ``RECIPES``.
        data_dir: Folder that contains Caltech-101.
        out_dir: Parent folder of the artifacts.
        fp32: Keep the encoder in float32. Its codes must not be mixed with those of the shipped int8 encoder.

    Raises:
        ValueError: No shipped model has this name.
        FileNotFoundError: Caltech-101 is not in ``data_dir``.
        app.domain.errors.ArtifactRefused: The built artifact fails its own verification.
    """
    if name not in RECIPES:
        raise ValueError(f"no model called {name} is shipped; there are {', '.join(RECIPES)}")
    recipe, split = RECIPES[name], split_caltech101(data_dir)
    if fp32:
        recipe = replace(recipe, quantise=False)
    build = train_end_to_end_artifact if recipe.network else build_frozen_encoder_artifacts
    with single_threaded():
        return build(recipe, split, out_dir)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Limit torch and BLAS to one thread, so that sums have the same order on any number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(threads)
