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
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from app.bootstrap import WorkerServices
from app.domain.errors import ArtifactRefused, InvalidRequest, LookalikeError, UnknownCollection, UnknownModel
from app.domain.images import ImageRecord
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

_log = structlog.get_logger()

REPORT_EVERY_S: Final = 2.0
TICK_S: Final = 10.0
PAGE: Final = 1_000
REFERENCES_AT_ONCE: Final = 32
"""Number of referenced pictures that are tried between two reports."""


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
    result |= {"metrics": artifact.manifest.metrics, "epochs": running.epochs, "skipped": running.skipped}
    result["comparison"] = artifact.manifest.calibration.get("comparison")
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
        self._reported_at = time.monotonic()
        self._unreadable: Counter[str] = Counter()
        self.epochs: list[dict[str, Any]] = list(part.checkpoint.get("epochs", []))

    @property
    def skipped(self) -> dict[str, int]:
        """Numbers of referenced pictures that could not be read, by error code."""
        return dict(self._unreadable)

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
        in_use = await self._model_in_use(asked)
        request = TrainingRequest(**known)
        working = asyncio.ensure_future(asyncio.to_thread(self._train, request, make_split, in_use))
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

    async def _model_in_use(self, asked: dict[str, Any]) -> Artifact | None:
        """Return the model to compare with: the collection's own, or the service's default for a folder."""
        name = self._services.settings.models.default_model
        if asked.get("folder") is None:
            async with self._services.database.read() as unit:
                record = await unit.collections.by_pk(asked["collection_pk"])
            if record is None:
                raise UnknownCollection
            name = record.model
        try:
            return (await self._services.models.serving(name)).artifact
        except (ArtifactRefused, UnknownModel) as error:
            _log.warning("comparison_left_out", model=name, detail=error.detail)
            return None

    def _train(
        self, request: "TrainingRequest", make_split: Callable[[], "Split"], in_use: Artifact | None
    ) -> Artifact:
        import torch  # noqa: PLC0415

        from app.learning.training.end_to_end.pipeline import RunOptions  # noqa: PLC0415
        from app.learning.training.features.split_features import FeatureCache  # noqa: PLC0415
        from app.learning.training.monitoring.epochs import EpochObserver  # noqa: PLC0415
        from app.learning.training.monitoring.progress_bar import reporting_to  # noqa: PLC0415
        from app.learning.training.own_model import train_own_model  # noqa: PLC0415

        torch.set_num_threads(self._services.settings.models.encoder_threads)
        run = RunOptions(
            observer=EpochObserver(self._on_epoch, self._state_file),
            # A part resumed after a kill reads the features instead of computing them again.
            cache=FeatureCache(self._workspace / "features"),
            shipped_dir=self._services.settings.models.artifacts_dir,
            in_use=in_use,
        )
        with reporting_to(self._on_step):
            return train_own_model(request, make_split(), self._workspace / "artifacts", run)

    async def _split_maker(self, asked: dict[str, Any]) -> Callable[[], "Split"]:
        if asked.get("folder") is not None:
            return partial(self._folder_split, self._services.picture_sources.check_folder(asked["folder"]))
        pk, label = asked["collection_pk"], asked["label"]
        pictures: dict[str, ImageRecord] = {}
        read, after = 0, -1
        while True:
            async with self._services.database.read() as unit:
                if await unit.collections.by_pk(pk) is None:
                    raise UnknownCollection
                total = await unit.images.count(pk)
                page = await unit.images.page(pk, after, PAGE)
            # A stored file that is lost is a fault; a referenced one may have moved.
            for start in range(0, len(page), REFERENCES_AT_ONCE):
                images = page[start : start + REFERENCES_AT_ONCE]
                referenced = [image for image in images if not image.has_bytes]
                failed = await self._services.reencoding.unreadable(referenced)
                self._unreadable.update(failure.error.code for failure in failed)
                skipped = {failure.image.image_id for failure in failed}
                pictures |= {image.image_id: image for image in images if image.image_id not in skipped}
                read += len(images)
                if referenced and time.monotonic() - self._reported_at > REPORT_EVERY_S:
                    await self._save(_phase("reading", read, total))
            if len(page) < PAGE:
                break
            after = page[-1].number
        self._check_enough(len(pictures))
        labels = [(image_id, _label(image, label)) for image_id, image in pictures.items()]
        return partial(self._stored_split, asked, labels, pictures)

    def _check_enough(self, readable: int) -> None:
        from app.learning.datasets.training_splits import MIN_STORED_PICTURES  # noqa: PLC0415

        if self._unreadable and readable < MIN_STORED_PICTURES:
            reasons = ", ".join(f"{count} {code}" for code, count in self._unreadable.most_common())
            raise InvalidRequest(
                f"training needs at least {MIN_STORED_PICTURES} original pictures; {readable} can be read, "
                f"others not ({reasons}): make them readable at their uri, or run `lookalike train FOLDER` "
                "where the originals are"
            )

    def _stored_split(
        self, asked: dict[str, Any], labels: list[tuple[str, str | None]], pictures: dict[str, ImageRecord]
    ) -> "Split":
        from app.learning.datasets.training_splits import split_stored_pictures  # noqa: PLC0415
        from app.learning.training.methods.registry import METHODS  # noqa: PLC0415

        method = METHODS.get(asked.get("method", ""))
        return split_stored_pictures(
            asked["collection"],
            labels,
            lambda image_id: self._read(pictures[image_id]),
            partial_labels=method is not None and method.partial_labels,
        )

    def _folder_split(self, folder: Path) -> "Split":
        from app.learning.datasets.folder import UNLABELLED, load_pictures  # noqa: PLC0415
        from app.learning.datasets.training_splits import split_own_pictures  # noqa: PLC0415

        return split_own_pictures(load_pictures(folder, unlabelled=UNLABELLED))

    def _read(self, image: ImageRecord) -> bytes:
        return asyncio.run_coroutine_threadsafe(self._services.reencoding.content(image), self._loop).result()

    def _on_step(self, task: str, done: int, total: int, _: str) -> None:
        if time.monotonic() - self._reported_at > REPORT_EVERY_S:
            self._in_loop(self._save(_phase(task, done, total)))

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


def _label(image: ImageRecord, key: str) -> str | None:
    value = image.metadata.get(key)
    return None if value is None else str(value)


def _phase(task: str, done: int, total: int) -> str:
    """Shorten progress to a job's phase, which has at most 32 characters."""
    return f"{task.split(maxsplit=1)[0]} {done:,} of {total:,}"[:32]
