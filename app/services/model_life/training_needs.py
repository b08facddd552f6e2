"""Who can train: each worker finds out for itself, without loading anything of it, and says so."""

from importlib.util import find_spec
from typing import Final

from app.domain.errors import TrainingNotInstalled
from app.services.job_control.heartbeats import SILENT_S
from app.store.unit_of_work import ReadUnit, WriteUnit

NEEDED: Final = ("torch", "torchvision", "onnx", "onnxscript", "safetensors")


def missing_packages() -> list[str]:
    """What training needs and this environment lacks."""
    return [name for name in NEEDED if find_spec(name) is None]


def training_not_installed(lacking: str) -> TrainingNotInstalled:
    """The error that names what is missing, and the command that installs it.

    Args:
        lacking: Packages, separated by commas.
    """
    return TrainingNotInstalled(f"training needs {lacking}: run `make train-deps`, then restart the worker")


async def require_training_worker(unit: ReadUnit) -> None:
    """Refuse where every worker that lives has said that it cannot train; with none, a job waits for one.

    Raises:
        TrainingNotInstalled: What they lack, and the command that installs it.
    """
    said = [worker.training_lacks for worker in await unit.processes.live_workers(SILENT_S)]
    if said and all(said):
        raise training_not_installed(min(lacking for lacking in said if lacking))


async def others_can_train(unit: WriteUnit) -> bool:
    """Whether a live worker can train; asked by one that cannot."""
    return any(not worker.training_lacks for worker in await unit.processes.live_workers(SILENT_S))
