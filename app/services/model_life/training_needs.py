"""The packages that training needs, and the workers that have them."""

from importlib.util import find_spec
from typing import Final

from app.domain.errors import TrainingNotInstalled
from app.services.job_control.heartbeats import SILENT_S
from app.store.unit_of_work import ReadUnit, WriteUnit

TRAINING_PACKAGES: Final = ("torch", "torchvision", "onnx", "onnxscript", "safetensors")


def missing_packages() -> list[str]:
    """Return the packages for training that are not installed here, without importing any."""
    return [name for name in TRAINING_PACKAGES if find_spec(name) is None]


def training_not_installed(missing: str) -> TrainingNotInstalled:
    """Return the error that names the missing packages and how to install them.

    Args:
        missing: Names of the packages, separated by commas.
    """
    return TrainingNotInstalled(f"training needs {missing}: run `make train-deps`, then restart the worker")


async def require_training_worker(unit: ReadUnit) -> None:
    """Check that a live worker can train; without any live worker, a job may wait for one.

    Raises:
        TrainingNotInstalled: Every live worker lacks packages; names them and how to install them.
    """
    missing = [worker.training_lacks for worker in await unit.processes.live_workers(SILENT_S)]
    if missing and all(missing):
        raise training_not_installed(min(names for names in missing if names))


async def any_worker_can_train(unit: WriteUnit) -> bool:
    """Return whether any live worker can train."""
    return any(not worker.training_lacks for worker in await unit.processes.live_workers(SILENT_S))
