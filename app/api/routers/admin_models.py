"""``/admin/models``: activate, roll back, compare and prune models of a collection."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse

from app.api.deps import ServicesDep
from app.api.job_answers import accepted
from app.api.schemas.common import problems
from app.api.schemas.jobs import Job
from app.api.schemas.models import (
    Activate,
    ActivatedShape,
    ComparedShape,
    CompareModels,
    Evaluate,
    LearnWords,
    OfCollection,
    Pruned,
    Reencode,
    Train,
)
from app.services.model_life.activation import ActivationResult

router = APIRouter(prefix="/admin", tags=["models"])

_ACCEPTED: Final[dict[str, Any]] = {"model": Job, "description": "Queued; see Location."}


@router.post(
    "/jobs/reencode",
    status_code=202,
    responses={202: _ACCEPTED, **problems(404, 409, 422, 503)},
    tags=["jobs"],
    operation_id="startReencoding",
    summary="Re-encode a collection under another model",
)
async def reencode(request: Request, services: ServicesDep, asked: Annotated[Reencode, Body()]) -> JSONResponse:
    """Searches use the current model meanwhile; new pictures get a code under both models."""
    return accepted(
        request, await services.model_jobs.reencode(asked.collection, asked.model, force=asked.force)
    )


@router.post(
    "/jobs/train",
    status_code=202,
    responses={202: _ACCEPTED, **problems(404, 409, 422, 503)},
    tags=["jobs"],
    operation_id="startTraining",
    summary="Train a model",
)
async def train(request: Request, services: ServicesDep, asked: Annotated[Train, Body()]) -> JSONResponse:
    """Train on a collection's pictures or a folder of labelled ones; register the model when it is complete.

    The job's result shows loss, bit balance and a held-out figure after each epoch. 409 if the packages for
    training are not installed.
    """
    return accepted(request, await services.model_jobs.train(asked.training()))


@router.post(
    "/jobs/evaluate",
    status_code=202,
    responses={202: _ACCEPTED, **problems(404, 422, 503)},
    tags=["jobs"],
    operation_id="startEvaluation",
    summary="Evaluate retrieval on labelled pictures",
)
async def evaluate(request: Request, services: ServicesDep, asked: Annotated[Evaluate, Body()]) -> JSONResponse:
    """Query with every tenth picture of each kind; the result holds the figures and their protocol."""
    return accepted(request, await services.model_jobs.evaluate(asked.collection, asked.label, asked.model))


@router.post(
    "/jobs/learn-words",
    status_code=202,
    responses={202: _ACCEPTED, **problems(404, 409, 422, 503)},
    tags=["jobs"],
    operation_id="startLearningWords",
    summary="Learn words from the metadata of pictures",
)
async def learn_words(
    request: Request, services: ServicesDep, asked: Annotated[LearnWords, Body()]
) -> JSONResponse:
    """Searches by text and suggestions use the learned words that a cross-validation finds good enough.

    The job replaces the words learned before under the same model. Run it again after the tags have changed.
    """
    job = await services.model_jobs.learn_words(
        asked.collection,
        asked.keys,
        asked.model,
        min_pictures=asked.min_pictures,
        min_precision=asked.min_precision,
    )
    return accepted(request, job)


@router.post(
    "/models/{name}/activate",
    responses={200: {"model": ActivatedShape}, **problems(404, 409, 422, 503)},
    operation_id="activateModel",
    summary="Activate a model for a collection",
)
async def activate(name: str, services: ServicesDep, asked: Annotated[Activate, Body()]) -> JSONResponse:
    """Load the model in every process, then switch all of them; no answer mixes two models.

    409 lists the pictures that have no code under it yet, and those that could not be encoded.
    """
    activated = await services.activation.activate(asked.collection, name, accept_missing=asked.accept_missing)
    return JSONResponse(_shape(activated).model_dump(mode="json"))


@router.post(
    "/models/rollback",
    responses={200: {"model": ActivatedShape}, **problems(404, 409, 422, 503)},
    operation_id="rollBackModel",
    summary="Roll back to the previous model",
)
async def rollback(services: ServicesDep, asked: Annotated[OfCollection, Body()]) -> JSONResponse:
    """Return to the previous model at once; its codes are kept, and newer pictures have one too."""
    return JSONResponse(_shape(await services.activation.rollback(asked.collection)).model_dump(mode="json"))


@router.post(
    "/models/prune",
    responses={200: {"model": Pruned}, **problems(404, 422, 503)},
    operation_id="pruneCodes",
    summary="Delete the codes of inactive models",
)
async def prune(services: ServicesDep, asked: Annotated[OfCollection, Body()]) -> JSONResponse:
    """Delete the codes of the previous and of a prepared model; a rollback is not possible afterwards."""
    freed = await services.activation.prune(asked.collection)
    return JSONResponse(Pruned(codes=freed).model_dump(mode="json"))


@router.post(
    "/models/compare",
    responses={200: {"model": ComparedShape}, **problems(404, 409, 422, 503)},
    operation_id="compareModels",
    summary="Compare two models on stored pictures",
)
async def compare(services: ServicesDep, asked: Annotated[CompareModels, Body()]) -> JSONResponse:
    """Return the overlap of the first results under both models, and the results that moved."""
    compared = await services.model_comparison.compare(
        asked.collection, asked.old, asked.new, asked.queries, asked.limit
    )
    return JSONResponse(ComparedShape.of(compared).model_dump(mode="json"))


def _shape(activated: ActivationResult) -> ActivatedShape:
    record, missing = activated.record, activated.missing
    return ActivatedShape(
        collection=record.name,
        model=record.model,
        previous_model=record.previous_model,
        missing=missing.count,
        missing_by_reason=missing.by_reason,
        evicted=list(activated.evicted),
    )
