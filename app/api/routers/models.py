"""``/models``: what there is, and what is known of each."""

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
    """Models that collections may use."""
    models = sorted(await services.models.reports(), key=lambda model: model.record.name)
    body = ModelList(items=[ModelShape(**_described(model)) for model in models])
    return JSONResponse(body.model_dump(mode="json"))


@router.get(
    "/models/{name}/report",
    responses={200: {"model": ModelReportShape}, **problems(404, 503)},
    summary="A model's figures and origin",
)
async def report(name: str, services: ServicesDep) -> JSONResponse:
    """Origin, training data, licence, protocol and figures of a model, and which collections use it."""
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
