"""``GET /duplicates``."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from app.api.deps import CollectionDep, CursorQuery, PictureAddresses, PictureAddressesDep, ServicesDep
from app.api.forms import json_field
from app.api.schemas.common import problems
from app.api.schemas.duplicates import (
    CopyRuleShape,
    DuplicateGroupShape,
    DuplicateImageShape,
    DuplicatesResponse,
)
from app.api.typed_values import DECIMAL, WHOLE
from app.domain.filters import parse_filter
from app.services.searching.duplicates import DuplicateGroup, DuplicatesPage

router = APIRouter(tags=["search"])

DistanceQuery = Annotated[
    int | None,
    Query(
        ge=0,
        description="Largest distance of a pair. By default the rule for copies decides.",
    ),
    WHOLE,
]
DescriptorDistanceQuery = Annotated[
    float | None,
    Query(
        ge=0,
        le=2,
        allow_inf_nan=False,
        description="Largest distance of the descriptors of a pair (1 - cosine similarity). By default the "
        "rule for copies decides; if only `max_distance` is given, codes alone do.",
    ),
    DECIMAL,
]
FilterQuery = Annotated[
    str | None,
    Query(
        description="Pictures to compare: a filter as JSON text",
        examples=['{"must": [{"key": "brand", "match": "acme"}]}'],
    ),
]


@router.get(
    "/duplicates",
    responses={200: {"model": DuplicatesResponse}, **problems(404, 422, 503)},
    operation_id="findDuplicates",
    summary="Find duplicates",
)
async def duplicates(
    services: ServicesDep,
    addresses: PictureAddressesDep,
    collection: CollectionDep,
    max_distance: DistanceQuery = None,
    max_descriptor_distance: DescriptorDistanceQuery = None,
    filter: FilterQuery = None,  # noqa: A002
    limit: Annotated[int, Query(ge=1, le=100, description="Maximum number of groups"), WHOLE] = 20,
    cursor: CursorQuery = None,
) -> JSONResponse:
    """Groups of pictures that are copies of each other, edited or not.

    Without bounds, a rule decides from the perceptual hashes in all orientations and the descriptors of each
    pair; ``rule`` says how often the rule is wrong. Each picture of a group is a copy of its centre. A picture
    with too little detail for a perceptual hash is a copy only of equal files. Pairs that were marked as
    different (``POST /duplicates/different``) are left out.

    With ``max_distance``, codes decide, and with ``max_descriptor_distance``, descriptors too: two pictures
    that satisfy both bounds are in one group, and pictures of two groups never satisfy both.

    All pairs are compared. A collection too large for the rule is compared by codes and descriptors, within
    bounds that the answer names; one too large for that is refused with ``too_many_pictures`` and an estimate.
    """
    metadata_filter = None if filter is None else parse_filter(json_field(filter, "filter"))
    # A cursor continues the same list only.
    listing = f"duplicates {collection} {max_distance} {max_descriptor_distance} {filter}"
    after = services.signer.open_list_cursor(listing, cursor)
    page = await services.duplicates.page(
        collection,
        max_distance=max_distance,
        max_descriptor_distance=max_descriptor_distance,
        metadata_filter=metadata_filter,
        after=-1 if after is None else after,
        limit=limit,
    )
    following = page.next_after
    body = DuplicatesResponse(
        items=[_group(group, collection, addresses) for group in page.groups],
        next_cursor=None if following is None else services.signer.seal_list_cursor(listing, following),
        max_distance=page.max_distance,
        max_descriptor_distance=page.max_descriptor_distance,
        rule=_rule(page),
        pending=page.pending,
        groups=page.group_count,
        images=page.image_count,
        collection=page.collection,
        index_version=page.index_version,
    )
    return JSONResponse(body.model_dump(mode="json"))


def _rule(page: DuplicatesPage) -> CopyRuleShape | None:
    rule = page.rule
    if rule is None:
        return None
    pairs = page.compared * (page.compared - 1) // 2
    expected = round(pairs * rule.false_pairs, 1)
    wrong = f"about {expected:,.12g}" if expected else "fewer than 0.1"
    return CopyRuleShape(
        max_hash_distance=rule.max_hash_distance,
        sure_hash_distance=rule.sure_hash_distance,
        descriptor_base=rule.descriptor_base,
        descriptor_slope=rule.descriptor_slope,
        sure_descriptor_distance=rule.sure_descriptor_distance,
        expected_false_pairs=expected,
        meaning=f"Expect {wrong} wrong pairs among the {pairs:,} pairs of {page.compared:,} pictures, "
        "if they are like the photographs that the rule was measured on.",
    )


def _group(group: DuplicateGroup, collection: str, addresses: PictureAddresses) -> DuplicateGroupShape:
    images = []
    for image in group.images:
        record = image.record
        images.append(
            DuplicateImageShape(
                id=record.image_id,
                distance=image.distance,
                exact=image.exact,
                uri=record.uri,
                thumbnail_url=addresses.thumbnail(collection, record.image_id) if record.has_bytes else None,
                content_url=addresses.content(collection, record.image_id) if record.has_bytes else None,
                width=record.width,
                height=record.height,
                size_bytes=record.size_bytes,
                metadata=record.metadata,
            )
        )
    return DuplicateGroupShape(size=group.size, images=images)
