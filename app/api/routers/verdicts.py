"""``/duplicates/different``: pictures that are not duplicates, although they look like copies."""

from typing import Annotated

from fastapi import APIRouter, Body, Query

from app.api.deps import CallerDep, CollectionDep, CursorQuery, ServicesDep
from app.api.schemas.common import problems
from app.api.schemas.verdicts import DifferentChanged, DifferentList, DifferentRequest
from app.api.typed_values import WHOLE

router = APIRouter(prefix="/duplicates/different", tags=["search"])


@router.post(
    "", responses=problems(404, 422, 503), operation_id="callDifferent", summary="Mark pictures as different"
)
async def call_different(
    services: ServicesDep, caller: CallerDep, asked: Annotated[DifferentRequest, Body()]
) -> DifferentChanged:
    """Remember that no two of these pictures are duplicates; no group will contain two of them.

    Verdicts stay when the pictures are encoded under another model and are part of backups. They are forgotten
    when one of the pictures is deleted or replaced by another file.
    """
    caller.check_collection(asked.collection)
    return DifferentChanged(pairs=await services.verdicts.call_different(asked.collection, asked.ids))


@router.post(
    "/delete",
    responses=problems(404, 422, 503),
    operation_id="takeBackDifferent",
    summary="Withdraw verdicts",
)
async def take_back_different(
    services: ServicesDep, caller: CallerDep, asked: Annotated[DifferentRequest, Body()]
) -> DifferentChanged:
    """Forget that any two of these pictures were marked as different."""
    caller.check_collection(asked.collection)
    return DifferentChanged(pairs=await services.verdicts.take_back(asked.collection, asked.ids))


@router.get("", responses=problems(404, 422, 503), operation_id="listDifferent", summary="List verdicts")
async def list_different(
    services: ServicesDep,
    collection: CollectionDep,
    limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of pairs"), WHOLE] = 100,
    cursor: CursorQuery = None,
) -> DifferentList:
    """Pairs of pictures that were marked as different, ordered by age."""
    listing = f"different {collection}"
    offset = services.signer.open_list_cursor(listing, cursor) or 0
    page = await services.verdicts.page(collection, offset=offset, limit=limit)
    following = page.next_offset
    return DifferentList(
        items=[list(pair) for pair in page.pairs],
        next_cursor=None if following is None else services.signer.seal_list_cursor(listing, following),
    )
