"""Check requests for re-encoding, training and evaluation, and start their jobs."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from app.domain.codes import check_bits
from app.domain.collections import CollectionRecord, Keeps
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


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """A model to train, and the pictures to train it on."""

    name: str
    """Name of the new model."""
    collection: str | None = None
    folder: str | None = None
    """Folder of labelled pictures, ``<kind>/<picture>``, that jobs may read; instead of a collection."""
    label: str = "label"
    """Metadata key of the pictures' kinds. If few pictures have one, the model is measured on edited
    copies, unless the method learns from partial labels."""
    method: str | None = None
    """None for the default of ``lookalike train``, here as for all other options."""
    bits: int | None = None
    encoder: str | None = None
    wordnet: float = 0.0
    """Weight of WordNet features beside the encoder's."""
    epochs: int | None = None
    seed: int = 0
    settings: dict[str, Any] | None = None


class ModelJobs:
    """Start jobs for re-encoding, training and evaluation."""

    def __init__(self, database: Database, models: Models, jobs: Jobs, sources: PictureSources) -> None:
        """Queue jobs with ``jobs``; ``sources`` decides which folders may be read."""
        self._database = database
        self._models = models
        self._jobs = jobs
        self._sources = sources

    async def reencode(self, collection: str, model: str, *, force: bool = False) -> JobView:
        """Start a job that encodes a collection under a model; with ``force`` also pictures that have a code.

        Raises:
            UnknownCollection: The collection does not exist.
            UnknownModel: The model does not exist.
            NotReencodable: The collection stores references only, and no picture sources are configured.
            JobExists: The collection is being re-encoded already.
        """
        record = await self._collection(collection)
        await self._models.report(model)
        if record.keeps is Keeps.REFERENCES and not self._sources.reads_anything:
            raise NotReencodable
        return await self._jobs.start(
            JobKind.REENCODE,
            {"model": model, "force": force},
            collection=collection,
            exclusive=f"reencode:{record.pk}",
        )

    async def train(self, training: TrainingOptions) -> JobView:
        """Start a job that trains a model.

        Raises:
            TrainingNotInstalled: No worker has the packages for training; names them and how to install them.
            InvalidId: The name is not allowed.
            ModelExists: The name is taken.
            UnknownCollection: The collection does not exist.
            NotReencodable: The collection stores references only, and no picture sources are configured.
            UrlNotAllowed: The folder may not be read.
            InvalidRequest: Both a collection and a folder are given, or neither, or the code length is invalid.
            JobExists: A model with this name is being trained already.
        """
        async with self._database.read() as unit:
            await require_training_worker(unit)
        parse_name(training.name)
        if (training.collection is None) == (training.folder is None):
            raise InvalidRequest("give either a collection or a folder")
        try:
            if training.bits is not None:
                check_bits(training.bits)
        except ValueError as error:
            raise InvalidRequest(errors=[FieldError("/bits", str(error))]) from error
        if training.folder is not None:
            await asyncio.to_thread(self._sources.check_folder, training.folder)
        if training.collection is not None:
            record = await self._collection(training.collection)
            if record.keeps is Keeps.REFERENCES and not self._sources.reads_anything:
                raise NotReencodable(
                    "training needs the originals, but the collection keeps references only and this "
                    "service may not read them: allow it by LOOKALIKE_IMPORT_ROOT, LOOKALIKE_IMPORT_PREFIXES "
                    "or LOOKALIKE_FETCH_HOSTS, or run `lookalike train FOLDER` where the originals are"
                )
        with suppress(UnknownModel):
            await self._models.report(training.name)
            raise ModelExists(f"there is a model named {training.name!r} already")
        arguments = {name: value for name, value in asdict(training).items() if value is not None}
        return await self._jobs.start(
            JobKind.TRAIN, arguments, collection=training.collection, exclusive=f"train:{training.name}"
        )

    async def evaluate(self, collection: str, label: str, model: str | None) -> JobView:
        """Start a job that evaluates retrieval on a collection's labelled pictures, from their stored codes.

        Raises:
            UnknownCollection: The collection does not exist.
            UnknownModel: The model does not exist.
        """
        record = await self._collection(collection)
        await self._models.report(model or record.model)
        arguments = {"label": label, "model": model or record.model}
        return await self._jobs.start(JobKind.EVALUATE, arguments, collection=collection)

    async def learn_words(
        self,
        collection: str,
        keys: Sequence[str],
        model: str | None,
        *,
        min_pictures: int,
        min_precision: float,
    ) -> JobView:
        """Start a job that learns words from the metadata of a collection's pictures.

        Args:
            collection: Name of the collection.
            keys: Metadata keys to read.
            model: Model whose codes to learn from; the collection's own if None.
            min_pictures: Least number of pictures that carry a learned word.
            min_precision: Least cross-validated precision of a word that searches use.

        Raises:
            UnknownCollection: The collection does not exist.
            UnknownModel: The model does not exist.
            JobExists: Words of the collection are being learned already.
        """
        record = await self._collection(collection)
        await self._models.report(model or record.model)
        async with self._database.read() as unit:
            change = await unit.feed.latest()
        arguments = {
            "keys": list(dict.fromkeys(keys)),
            "model": model or record.model,
            "min_pictures": min_pictures,
            "min_precision": min_precision,
            # The job reads at least what was committed by now.
            "change": change,
        }
        return await self._jobs.start(
            JobKind.LEARN_WORDS, arguments, collection=collection, exclusive=f"learn_words:{record.pk}"
        )

    async def _collection(self, name: str) -> CollectionRecord:
        async with self._database.read() as unit:
            record = await unit.collections.get(name)
        if record is None:
            raise UnknownCollection(f"there is no collection named {name!r}")
        return record
