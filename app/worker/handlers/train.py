"""``train`` jobs: train a model on a collection's pictures or on a folder of labelled ones.

Training runs in a thread and is independent of jobs. After each epoch, and now and then while it reads
pictures, the thread waits until a batch is written. So progress is visible, and a pause, a cancellation or a
lost lease stops the thread there. An epoch's state is a file that is copied to the object store before the
batch refers to it, so that a worker on another machine can continue from there.
"""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.bootstrap import WorkerServices
from app.domain.errors import InvalidRequest, LookalikeError, UnknownCollection
from app.domain.models import Origin
from app.encoding.artifact import Artifact
from app.jobs.leases import HeldPart
from app.jobs.runner import Handler
from app.services.model_life.training_needs import missing_packages, training_not_installed
from app.services.model_registry.models import register
from app.services.operations.training_files import CHECKPOINTS, WORKSPACES

if TYPE_CHECKING:
    from app.learning.datasets.splits import Split
    from app.learning.training.monitoring.epochs import EpochFigures
    from app.learning.training.own_model import TrainingRequest

REPORT_EVERY_S: Final = 2.0
TICK_S: Final = 10.0
PAGE: Final = 1_000


def make_handler(services: WorkerServices) -> Handler:
    """Return the handler of ``train`` jobs, or one that refuses them if packages are missing."""
    return refuse if missing_packages() else partial(train, services)


async def refuse(part: HeldPart) -> dict[str, Any]:  # noqa: ARG001 - a handler
    """Fail a training that no live worker can run; ``worker.loop`` leaves it to one that can.

    Raises:
        TrainingNotInstalled: Always; names the missing packages and the command that installs them.
    """
    raise training_not_installed(", ".join(missing_packages()))


async def train(services: WorkerServices, part: HeldPart) -> dict[str, Any]:
    """Train, publish and register one model."""
    if "registered" in part.checkpoint:
        return dict(part.checkpoint["registered"])
    workspace = services.settings.storage.data_dir / WORKSPACES / part.lease.job_id
    running = _Running(services, part, asyncio.get_running_loop(), workspace)
    await running.fetch_checkpoint()
    artifact = await running.run()
    address = await services.models.store(artifact)
    result = {"model": artifact.name, "bits": artifact.bits, "digest": artifact.digest}
    result |= {"metrics": artifact.manifest.metrics, "epochs": running.epochs}
    async with part.batch() as batch:
        await register(batch.unit, artifact, Origin.TRAINED, address)
        batch.save({"registered": result}, phase="registered")
    await running.clean_up()
    return result


class _Running:
    """Connects the thread of one training with its job."""

    def __init__(
        self, services: WorkerServices, part: HeldPart, loop: asyncio.AbstractEventLoop, workspace: Path
    ) -> None:
        self._services = services
        self._part = part
        self._loop = loop
        self._workspace = workspace
        self._state_file = workspace / "epoch.checkpoint"
        self._key = f"{CHECKPOINTS}/{part.lease.job_id}"
        self._read = 0
        self._reported_at = time.monotonic()
        self.epochs: list[dict[str, Any]] = list(part.checkpoint.get("epochs", []))

    async def fetch_checkpoint(self) -> None:
        """Fetch the last epoch's state, if a worker on another machine saved it."""
        await asyncio.to_thread(self._workspace.mkdir, parents=True, exist_ok=True)
        if not self.epochs:
            # Left by an attempt that wrote no batch; it may be of other pictures.
            await asyncio.to_thread(self._state_file.unlink, missing_ok=True)
        elif not await asyncio.to_thread(self._state_file.exists):
            content = await self._services.objects.get(self._key)
            if content is not None:
                await asyncio.to_thread(self._state_file.write_bytes, content)

    async def run(self) -> Artifact:
        """Train in a thread.

        Raises:
            InvalidRequest: The method, the encoder or the pictures are not suitable.
        """
        from app.learning.training.own_model import TrainingRequest  # noqa: PLC0415 - torch takes seconds to load

        asked = self._part.lease.arguments
        known = {
            name: asked[name] for name in TrainingRequest.__dataclass_fields__ if asked.get(name) is not None
        }
        make_split = await self._split_maker(asked)
        working = asyncio.ensure_future(asyncio.to_thread(self._train, TrainingRequest(**known), make_split))
        ticking = asyncio.create_task(self._tick())
        try:
            await asyncio.wait({working, ticking}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                # Stopped between two reports. The thread ends at its next report, which fails.
                await ticking
            return await working
        except (ValueError, FileNotFoundError) as error:
            raise InvalidRequest(str(error)) from error
        finally:
            ticking.cancel()
            working.cancel()
            await asyncio.gather(ticking, return_exceptions=True)

    async def _tick(self) -> None:
        """Save progress between reports, which also notices a request to stop."""
        while True:
            await asyncio.sleep(TICK_S)
            if time.monotonic() - self._reported_at > TICK_S:
                await self._save("fitting and measuring")

    def _train(self, request: "TrainingRequest", make_split: Callable[[], "Split"]) -> Artifact:
        import torch  # noqa: PLC0415

        from app.learning.training.end_to_end.pipeline import RunOptions  # noqa: PLC0415
        from app.learning.training.features.split_features import FeatureCache  # noqa: PLC0415
        from app.learning.training.monitoring.epochs import EpochObserver  # noqa: PLC0415
        from app.learning.training.own_model import train_own_model  # noqa: PLC0415

        torch.set_num_threads(self._services.settings.models.encoder_threads)
        run = RunOptions(
            observer=EpochObserver(self._on_epoch, self._state_file),
            # A part resumed after a kill reads the features instead of computing them again.
            cache=FeatureCache(self._workspace / "features"),
        )
        return train_own_model(request, make_split(), self._workspace / "artifacts", run)

    async def _split_maker(self, asked: dict[str, Any]) -> Callable[[], "Split"]:
        if asked.get("folder") is not None:
            return partial(self._folder_split, self._services.picture_sources.check_folder(asked["folder"]))
        pk, label = asked["collection_pk"], asked["label"]
        pictures: list[tuple[str, str | None]] = []
        sha256s: dict[str, str] = {}
        after = -1
        while True:
            async with self._services.database.read() as unit:
                if await unit.collections.by_pk(pk) is None:
                    raise UnknownCollection
                page = await unit.images.page(pk, after, PAGE)
            for image in page:
                after = image.number
                if image.has_bytes:
                    value = image.metadata.get(label)
                    pictures.append((image.image_id, None if value is None else str(value)))
                    sha256s[image.image_id] = image.sha256
            if len(page) < PAGE:
                return partial(self._stored_split, asked, pictures, sha256s)

    def _stored_split(
        self, asked: dict[str, Any], pictures: list[tuple[str, str | None]], sha256s: dict[str, str]
    ) -> "Split":
        from app.learning.datasets.training_splits import split_stored_pictures  # noqa: PLC0415
        from app.learning.training.methods.registry import METHODS  # noqa: PLC0415

        method = METHODS.get(asked["method"])
        return split_stored_pictures(
            asked["collection"],
            pictures,
            lambda image_id: self._read_stored(sha256s[image_id]),
            partial_labels=method is not None and method.partial_labels,
        )

    def _folder_split(self, folder: Path) -> "Split":
        from app.learning.datasets.folder import UNLABELLED, load_pictures  # noqa: PLC0415
        from app.learning.datasets.training_splits import split_own_pictures  # noqa: PLC0415

        return split_own_pictures(load_pictures(folder, unlabelled=UNLABELLED))

    def _read_stored(self, sha256: str) -> bytes:
        self._read += 1
        if time.monotonic() - self._reported_at > REPORT_EVERY_S:
            self._in_loop(self._save(f"reading pictures: {self._read}"))
        return asyncio.run_coroutine_threadsafe(self._services.pictures.get(sha256), self._loop).result()

    def _on_epoch(self, figures: "EpochFigures") -> None:
        done = len(self.epochs)
        self.epochs = [*self.epochs[: figures.epoch - 1], figures.as_dict()]
        self._in_loop(self._save_epoch(figures, figures.epoch - done))

    async def _save_epoch(self, figures: "EpochFigures", done: int) -> None:
        content = await asyncio.to_thread(self._state_file.read_bytes)
        await self._services.objects.put(self._key, content)
        await self._save("training", done=done, total=figures.epochs)

    async def _save(self, phase: str, *, done: int = 0, total: int | None = None) -> None:
        async with self._part.batch() as batch:
            checkpoint = {"epochs": self.epochs}
            # Only an epoch that no earlier attempt has reached is progress. Otherwise a training that kills its
            # workers would be tried for ever.
            batch.save(checkpoint, done=done, phase=phase, total=total, result=checkpoint, is_progress=done > 0)
        self._reported_at = time.monotonic()

    def _in_loop(self, work: Any) -> None:
        """Run ``work`` in the worker's event loop and wait for it in the training thread."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def clean_up(self) -> None:
        """Delete files that are not needed once the model is registered."""
        await asyncio.to_thread(shutil.rmtree, self._workspace, ignore_errors=True)
        with contextlib.suppress(LookalikeError):
            await self._services.objects.delete(self._key)
