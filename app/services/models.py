"""Models: shipped artifacts are verified and registered; each that serves has one micro-batcher."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from app.domain.errors import ArtifactRefused, UnknownModel
from app.encoding.artifact import Artifact, load_artifact
from app.encoding.batching import MicroBatcher
from app.encoding.encoder import Encoder
from app.store.engine import Database
from app.store.records import ModelRecord

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ServingModel:
    """A model that is loaded and encodes."""

    artifact: Artifact
    encoder: Encoder
    batcher: MicroBatcher


class Models:
    """The models of this service by name."""

    def __init__(
        self,
        database: Database,
        artifacts_dir: Path,
        *,
        make_encoder: Callable[[Artifact], Encoder],
        make_batcher: Callable[[Encoder], MicroBatcher],
    ) -> None:
        """Find shipped artifacts in ``artifacts_dir``; encoders are made when a collection first needs one."""
        self._database = database
        self._artifacts_dir = artifacts_dir
        self._make_encoder = make_encoder
        self._make_batcher = make_batcher
        self._artifacts: dict[str, Artifact] = {}
        self._serving: dict[str, ServingModel] = {}
        self._lock = asyncio.Lock()

    async def register_shipped(self) -> list[str]:
        """Verify every artifact folder and register it; a damaged one is logged and left out.

        Returns:
            Names of the models registered.
        """
        for folder in sorted(path.parent for path in self._artifacts_dir.glob("*/model.json")):
            try:
                artifact = await asyncio.to_thread(load_artifact, folder)
            except ArtifactRefused as refused:
                _log.error("artifact_refused", folder=folder.name, detail=refused.detail)
                continue
            self._artifacts[artifact.name] = artifact
        async with self._database.read() as unit:
            known = {model.name: model.digest for model in await unit.models.list()}
        fresh = [a for a in self._artifacts.values() if known.get(a.name) != a.digest]
        if fresh:
            async with self._database.write() as writing:
                for artifact in fresh:
                    await writing.models.register(
                        artifact.name,
                        digest=artifact.digest,
                        bits=artifact.bits,
                        descriptor_bytes=_descriptor_bytes(artifact),
                        origin="shipped",
                        document=artifact.manifest.model_dump(),
                        location=artifact.name,
                    )
        return sorted(self._artifacts)

    async def serving(self, name: str) -> ServingModel:
        """A model that encodes; loaded and checked by its canary on first use.

        Raises:
            UnknownModel: No artifact of that name was found whole.
            ArtifactRefused: The encoder does not reproduce the artifact's canary.
        """
        if name in self._serving:
            return self._serving[name]
        # Two requests may arrive for a model that neither has loaded.
        async with self._lock:
            if name not in self._serving:
                artifact = self.artifact(name)
                encoder = await asyncio.to_thread(self._make_encoder, artifact)
                self._serving[name] = ServingModel(artifact, encoder, self._make_batcher(encoder))
        return self._serving[name]

    def artifact(self, name: str) -> Artifact:
        """The verified artifact of a model.

        Raises:
            UnknownModel: No artifact of that name was found whole.
        """
        if name not in self._artifacts:
            raise UnknownModel(f"there is no model named {name!r}")
        return self._artifacts[name]

    async def list(self) -> list[ModelRecord]:
        """Every registered model."""
        async with self._database.read() as unit:
            return await unit.models.list()

    async def report(self, name: str) -> dict[str, Any]:
        """A model's document: origin, training data, protocol and figures.

        Raises:
            UnknownModel: No model has that name.
        """
        async with self._database.read() as unit:
            record = await unit.models.get(name)
        if record is None:
            raise UnknownModel(f"there is no model named {name!r}")
        return record.document

    async def close(self) -> None:
        """End every micro-batcher's thread."""
        for model in self._serving.values():
            await model.batcher.aclose()


def _descriptor_bytes(artifact: Artifact) -> int:
    return artifact.manifest.descriptor.dim if artifact.manifest.descriptor else 0
