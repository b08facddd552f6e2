"""Whether training is possible here, found out without loading anything of it."""

from importlib.util import find_spec
from typing import Final

from app.domain.errors import TrainingNotInstalled

NEEDED: Final = ("torch", "torchvision", "onnx", "onnxscript", "safetensors")


def missing_packages() -> list[str]:
    """What training needs and this environment lacks."""
    return [name for name in NEEDED if find_spec(name) is None]


def require_training() -> None:
    """Refuse where a training job could never be done.

    Raises:
        TrainingNotInstalled: Something is missing; names it and the command that installs it.
    """
    missing = missing_packages()
    if missing:
        raise TrainingNotInstalled(
            f"training needs {', '.join(missing)}: run `make train-deps`, then restart the worker"
        )
