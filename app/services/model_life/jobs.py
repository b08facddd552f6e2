"""Start the jobs in a model's life, after checking what can be checked at once."""

import asyncio
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from app.domain.codes import check_bits
from app.domain.errors import (
    FieldError,
    InvalidRequest,
    ModelExists,
    NotReencodable,
    UnknownCollection,
    UnknownModel,
)
from app.domain.ids import parse_name
from app.domain.jobs import JobKind
from app.images.picture_sources import PictureSources
from app.services.job_control.jobs import Jobs, JobView
from app.services.model_life.training_needs import require_training_worker
from app.services.model_registry.models import Models
from app.store.engine import Database
from app.store.records import CollectionRecord, Keeps


@dataclass(frozen=True, slots=True)
class Training:
    """What is to be trained, from which pictures."""

    name: str
    collection: str | None = None
    folder: str | None = None
    """Of labelled pictures, ``<kind>/<picture>``, where jobs may read; instead of a collection."""
    label: str = "label"
    """Metadata key of the pictures' kinds; where some have none, edited copies are what is measured on,
    unless the method learns from labels of some."""
    method: str = "itq"
    bits: int | None = None
    """None for the longest code that the pictures are enough for, 256 bits at most; 64 for a network."""
    encoder: str | None = None
    epochs: int | None = None
    seed: int = 0
    settings: dict[str, Any] | None = None


class ModelJobs:
    """Starts re-encoding, training and evaluation."""

    def __init__(self, database: Database, models: Models, jobs: Jobs, sources: PictureSources) -> None:
        """Queue with ``jobs``; folders are read where ``sources`` allows."""
        self._database = database
        self._models = models
        self._jobs = jobs
        self._sources = sources

    async def reencode(self, collection: str, model: str) -> JobView:
        """Encode a collection under a model in the background.

        Raises:
            UnknownCollection: There is no such collection.
            UnknownModel: There is no such model.
            NotReencodable: The collection keeps references only, and nothing may be read by reference here.
            JobExists: The collection is being re-encoded already.
        """
        record = await self._collection(collection)
        await self._models.report(model)
        if record.keeps is Keeps.REFERENCES and not self._sources.reads_anything:
            raise NotReencodable
        return await self._jobs.start(
            JobKind.REENCODE, {"model": model}, collection=collection, exclusive=f"reencode:{record.pk}"
        )

    async def train(self, training: Training) -> JobView:
        """Train a model in the background.

        Raises:
            TrainingNotInstalled: No worker has what training needs; names it and the command that installs it.
            InvalidId: The name is not allowed.
            ModelExists: There is a model by that name.
            UnknownCollection: There is no such collection.
            NotReencodable: The collection keeps references only.
            UrlNotAllowed: The folder may not be read.
            InvalidRequest: Neither a collection nor a folder is named, or both, or the code length does not do.
            JobExists: A model by that name is being trained already.
        """
        async with self._database.read() as unit:
            await require_training_worker(unit)
        parse_name(training.name)
        if (training.collection is None) == (training.folder is None):
            raise InvalidRequest("name either a collection or a folder")
        try:
            if training.bits is not None:
                check_bits(training.bits)
        except ValueError as error:
            raise InvalidRequest(errors=[FieldError("/bits", str(error))]) from error
        if training.folder is not None:
            await asyncio.to_thread(self._sources.check_folder, training.folder)
        if training.collection is not None:
            record = await self._collection(training.collection)
            if record.keeps is Keeps.REFERENCES:
                raise NotReencodable("a training reads stored pictures; the collection keeps references only")
        with suppress(UnknownModel):
            await self._models.report(training.name)
            raise ModelExists(f"there is a model named {training.name!r} already")
        arguments = {name: value for name, value in asdict(training).items() if value is not None}
        return await self._jobs.start(
            JobKind.TRAIN, arguments, collection=training.collection, exclusive=f"train:{training.name}"
        )

    async def evaluate(self, collection: str, label: str, model: str | None) -> JobView:
        """Measure retrieval on a collection's labelled pictures, from the codes that are stored.

        Raises:
            UnknownCollection: There is no such collection.
            UnknownModel: There is no such model.
        """
        record = await self._collection(collection)
        await self._models.report(model or record.model)
        arguments = {"label": label, "model": model or record.model}
        return await self._jobs.start(JobKind.EVALUATE, arguments, collection=collection)

    async def _collection(self, name: str) -> CollectionRecord:
        async with self._database.read() as unit:
            record = await unit.collections.get(name)
        if record is None:
            raise UnknownCollection(f"there is no collection named {name!r}")
        return record
