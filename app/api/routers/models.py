"""``/models``: list models and read their reports."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.api.deps import CallerDep, ServicesDep
from app.api.schemas.common import problems
from app.api.schemas.models import ModelList, ModelReportShape, ModelShape
from app.domain.access import Caller
from app.domain.errors import UnknownModel
from app.services.model_registry.models import ModelReport

router = APIRouter(tags=["models"])


@router.get(
    "/models",
    responses={200: {"model": ModelList}, **problems(503)},
    operation_id="listModels",
    summary="List models",
)
async def list_models(services: ServicesDep, caller: CallerDep) -> JSONResponse:
    """List the models that collections may use; for a bound key, only those that its collections use."""
    models = [model for model in await services.models.reports() if _may_see(caller, model)]
    models.sort(key=lambda model: model.record.name)
    body = ModelList(items=[ModelShape(**_described(model, caller)) for model in models])
    return JSONResponse(body.model_dump(mode="json"))


@router.get(
    "/models/{name}/report",
    responses={200: {"model": ModelReportShape}, **problems(404, 503)},
    operation_id="getModelReport",
    summary="Read a model's report",
)
async def report(name: str, services: ServicesDep, caller: CallerDep) -> JSONResponse:
    """Return origin, training data, licence, figures with protocol, and the collections that use the model."""
    found = await services.models.report(name)
    if not _may_see(caller, found):
        raise UnknownModel(f"there is no model named {name!r}")
    body = ModelReportShape(**_described(found, caller), document=found.record.document)
    return JSONResponse(body.model_dump(mode="json"))


def _may_see(caller: Caller, report: ModelReport) -> bool:
    return caller.collections is None or bool(caller.visible(report.used_by))


def _described(report: ModelReport, caller: Caller) -> dict[str, Any]:
    record = report.record
    return {
        "name": record.name,
        "bits": record.bits,
        "descriptor_bytes": record.descriptor_bytes,
        "words": record.words,
        "origin": record.origin,
        "digest": record.digest,
        "collections": caller.visible(report.used_by),
        "created_at": record.created_at,
    }
