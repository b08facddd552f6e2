"""Make the shipped artifacts by name (``lookalike models build``)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from app.encoding.artifact import Artifact
from app.learning.datasets.caltech101 import split_caltech101
from app.learning.training.make import make_artifacts
from app.learning.training.make_network import make_network_artifact
from app.learning.training.recipe import RECIPES


def build(name: str, data_dir: Path, out_dir: Path, *, fp32: bool = False) -> list[Artifact]:
    """Make a shipped artifact and its siblings, which share one encoder file.

    Args:
        name: A key of ``RECIPES``.
        data_dir: Folder with Caltech-101.
        out_dir: ``model_artifacts``, or another parent.
        fp32: Leave the encoder in float32. Its codes do not mix with those of the shipped int8 encoder.

    Raises:
        ValueError: There is no such recipe.
        FileNotFoundError: The data are not there.
        app.domain.errors.ArtifactRefused: What was built does not do what it should.
    """
    if name not in RECIPES:
        raise ValueError(f"no model called {name} is shipped; there are {', '.join(RECIPES)}")
    recipe, split = RECIPES[name], split_caltech101(data_dir)
    if fp32:
        recipe = replace(recipe, quantise=False)
    make = make_network_artifact if recipe.network else make_artifacts
    with one_thread():
        return make(recipe, split, out_dir)


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums then have one order, however many cores there are: torch's, and those of numpy's linear algebra."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(threads)
