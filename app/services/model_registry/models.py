"""Verify and register artifacts, and load models, each with one micro-batcher."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import structlog

from app.domain.calibration import Calibration
from app.domain.errors import ArtifactRefused, UnknownModel
from app.domain.models import ModelRecord, Origin
from app.domain.ranking import descriptors_gain
from app.encoding.artifact import Artifact, load_artifact
from app.encoding.batching import MicroBatcher
from app.encoding.encoder import Encoder
from app.services.model_registry.publication import SCHEME, ArtifactStore
from app.store.engine import Database
from app.store.unit_of_work import WriteUnit

_log = structlog.get_logger()


@dataclass(frozen=True)
class ServingModel:
    """A loaded model, ready to encode."""

    artifact: Artifact
    encoder: Encoder
    batcher: MicroBatcher
    is_shipped: bool = False

    @property
    def ranks_by_descriptor(self) -> bool:
        """Whether its descriptors order results better than its codes.

        Those of shipped models do, on every collection that was measured; a trained model's card decides.
        """
        manifest = self.artifact.manifest
        has_descriptors = manifest.descriptor is not None
        return has_descriptors and (self.is_shipped or descriptors_gain(manifest.calibration))

    @cached_property
    def calibration(self) -> Calibration | None:
        """What its distances mean; None if the model was not measured."""
        manifest = self.artifact.manifest
        return Calibration.of(manifest.calibration, has_descriptors=manifest.descriptor is not None)


@dataclass(frozen=True, slots=True)
class ModelReport:
    """A model's record and the collections that use it."""

    record: ModelRecord
    used_by: tuple[str, ...]
    """Names of the collections whose active model it is."""


class Models:
    """The models of this service by name."""

    def __init__(
        self,
        database: Database,
        artifacts_dir: Path,
        published: ArtifactStore,
        *,
        make_encoder: Callable[[Artifact], Encoder],
        make_batcher: Callable[[Encoder], MicroBatcher],
    ) -> None:
        """Find shipped artifacts in ``artifacts_dir``, others in ``published``; load each on first use."""
        self._database = database
        self._artifacts_dir = artifacts_dir
        self._published = published
        self._make_encoder = make_encoder
        self._make_batcher = make_batcher
        self._artifacts: dict[str, Artifact] = {}
        self._shipped: frozenset[str] = frozenset()
        self._serving: dict[str, ServingModel] = {}
        self._lock = asyncio.Lock()

    async def register_shipped(self) -> list[str]:
        """Verify and register every artifact folder, and update the documents of registered ones.

        Log and skip a damaged artifact, and one whose name is registered for another model: the codes stored
        under that name are the other model's.

        Returns:
            Names of the registered models, sorted.
        """
        for folder in sorted(path.parent for path in self._artifacts_dir.glob("*/model.json")):
            try:
                artifact = await asyncio.to_thread(load_artifact, folder)
            except ArtifactRefused as refused:
                _log.error("artifact_refused", folder=folder.name, detail=refused.detail)
                continue
            self._artifacts[artifact.name] = artifact
        async with self._database.read() as unit:
            known = {model.name: model for model in await unit.models.list()}
        for artifact in list(self._artifacts.values()):
            record = known.get(artifact.name)
            if record is not None and record.digest != artifact.digest:
                _log.error("artifact_refused", folder=artifact.name, detail=_name_taken(artifact, record))
                del self._artifacts[artifact.name]
            elif record is None or _is_out_of_date(record, artifact):
                await self._register(artifact, Origin.SHIPPED, artifact.name)
        self._shipped = frozenset(self._artifacts)
        return sorted(self._artifacts)

    async def publish(self, artifact: Artifact) -> ModelRecord:
        """Store and register a trained artifact, so that every process of this service can use it.

        Raises:
            ArtifactRefused: The artifact does not reproduce its canary, or a file differs from its manifest.
            ModelMismatch: The name belongs to another model.
            ModelExists: A model with another name computes the same codes.
            StorageFull: The disk is full.
            Unavailable: The database or the object store does not answer.
        """
        address = await self.store(artifact)
        return await self._register(artifact, Origin.TRAINED, address)

    async def store(self, artifact: Artifact) -> str:
        """Verify an artifact and store its files where every process can fetch them, without registering it.

        Returns:
            Its address, for ``register``.

        Raises:
            ArtifactRefused: The artifact does not reproduce its canary, or a file differs from its manifest.
            StorageFull: The disk is full.
            StorageUnavailable: The object store does not answer.
        """
        await asyncio.to_thread(self._make_encoder, artifact)
        return await self._published.publish(artifact)

    async def serving(self, name: str) -> ServingModel:
        """Return a loaded model; fetch, load and verify it on first use.

        Raises:
            UnknownModel: The model does not exist, or is shipped and this process lacks its folder.
            ArtifactRefused: The artifact is damaged, or its encoder does not reproduce its canary.
            Unavailable: The object store or the database does not answer.
        """
        if name in self._serving:
            return self._serving[name]
        # Concurrent requests must not load a model twice.
        async with self._lock:
            if name not in self._serving:
                artifact = await self._artifact(name)
                encoder = await asyncio.to_thread(self._make_encoder, artifact)
                self._artifacts[name] = artifact
                batcher = self._make_batcher(encoder)
                self._serving[name] = ServingModel(artifact, encoder, batcher, name in self._shipped)
        return self._serving[name]

    async def bits(self, name: str) -> int:
        """Return the code length of a model.

        Raises:
            UnknownModel: The model does not exist.
        """
        return (await self.report(name)).record.bits

    async def reports(self) -> Sequence[ModelReport]:
        """Return a report of every model, oldest first."""
        async with self._database.read() as unit:
            records = await unit.models.list()
            collections = await unit.collections.list_all()
        return [
            ModelReport(record, tuple(c.name for c in collections if c.model == record.name))
            for record in records
        ]

    async def report(self, name: str) -> ModelReport:
        """Return a model's record and the collections that use it.

        Raises:
            UnknownModel: The model does not exist.
        """
        found = [report for report in await self.reports() if report.record.name == name]
        if not found:
            raise _unknown(name)
        return found[0]

    async def close(self) -> None:
        """Stop the threads of all micro-batchers."""
        for model in self._serving.values():
            await model.batcher.aclose()

    async def _artifact(self, name: str) -> Artifact:
        if name in self._artifacts:
            return self._artifacts[name]
        async with self._database.read() as unit:
            record = await unit.models.get(name)
        if record is None:
            raise _unknown(name)
        if not record.location.startswith(SCHEME):
            raise UnknownModel(f"this process has no folder of the shipped model {name!r}")
        artifact = await self._published.fetch(name, record.location)
        if artifact.digest != record.digest:
            raise ArtifactRefused(f"artifact {name}: it is not the model registered under this name")
        return artifact

    async def _register(self, artifact: Artifact, origin: Origin, location: str) -> ModelRecord:
        async with self._database.write() as unit:
            return await register(unit, artifact, origin, location)


async def register(unit: WriteUnit, artifact: Artifact, origin: Origin, location: str) -> ModelRecord:
    """Register a model whose files are stored already.

    Raises:
        ModelMismatch: The name belongs to another model.
        ModelExists: A model with another name computes the same codes.
    """
    return await unit.models.register(
        artifact.name,
        digest=artifact.digest,
        bits=artifact.bits,
        descriptor_bytes=_descriptor_bytes(artifact),
        origin=origin,
        document=artifact.manifest.model_dump(),
        location=location,
    )


def _is_out_of_date(record: ModelRecord, artifact: Artifact) -> bool:
    """Return whether a shipped model's document differs from this release's."""
    return record.origin is Origin.SHIPPED and record.document != artifact.manifest.model_dump()


def _name_taken(artifact: Artifact, record: ModelRecord) -> str:
    return (
        f"artifact {artifact.name}: the stored codes under this name are of model {record.digest}, but this is "
        f"model {artifact.digest}; restore the original folder"
    )


def _unknown(name: str) -> UnknownModel:
    return UnknownModel(f"there is no model named {name!r}")


def _descriptor_bytes(artifact: Artifact) -> int:
    return artifact.manifest.descriptor.dim if artifact.manifest.descriptor else 0
