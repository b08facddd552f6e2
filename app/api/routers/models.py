"""``/models``: list models and read their reports."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.api.deps import ServicesDep
from app.api.schemas.common import problems
from app.api.schemas.models import ModelList, ModelReportShape, ModelShape
from app.services.model_registry.models import ModelReport

router = APIRouter(tags=["models"])


@router.get("/models", responses={200: {"model": ModelList}, **problems(503)}, summary="List models")
async def list_models(services: ServicesDep) -> JSONResponse:
    """List the models that collections may use."""
    models = sorted(await services.models.reports(), key=lambda model: model.record.name)
    body = ModelList(items=[ModelShape(**_described(model)) for model in models])
    return JSONResponse(body.model_dump(mode="json"))


@router.get(
    "/models/{name}/report",
    responses={200: {"model": ModelReportShape}, **problems(404, 503)},
    summary="Read a model's report",
)
async def report(name: str, services: ServicesDep) -> JSONResponse:
    """Return origin, training data, licence, figures with protocol, and the collections that use the model."""
    found = await services.models.report(name)
    body = ModelReportShape(**_described(found), document=found.record.document)
    return JSONResponse(body.model_dump(mode="json"))


def _described(report: ModelReport) -> dict[str, Any]:
    record = report.record
    return {
        "name": record.name,
        "bits": record.bits,
        "descriptor_bytes": record.descriptor_bytes,
        "origin": record.origin,
        "digest": record.digest,
        "collections": list(report.used_by),
        "created_at": record.created_at,
    }
