"""Queries of uploaded pictures: the variants to try, and what each rank needs of their codes."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import code_to_hex, words_for
from app.domain.perceptual import HASH_BITS
from app.domain.ranks import BY_DESCRIPTOR, COPIES_FIRST, Rank
from app.domain.results import QueryInfo, SearchLimits
from app.domain.variants import WHOLE, QueryVariant, Region, Regions
from app.encoding.hash_orientations import ORIENTATIONS
from app.images.decode import Crop
from app.images.regions import WINDOWS, content_of, regions_of
from app.services.index_sync.live_collection import LiveCollection
from app.services.pictures.coding import PictureCode, VariantsOf
from app.services.searching.queries import (
    EXIF_ORIENTATIONS,
    CopyQuery,
    NearestOf,
    Query,
    WeightedBits,
    signatures_of,
)
from app.services.searching.rank_rules import not_ranked, rank_by_descriptor, wants_descriptors


def choose_variants(orientations: int, regions: Regions) -> VariantsOf:
    """Return what chooses the variants of a picture.

    Args:
        orientations: 2 (mirrored too), 4 (turned too) or 8 (both), if ``regions`` is none.
        regions: Parts to search with, too.
    """
    return _PARTS.get(regions) or partial(_turned, EXIF_ORIENTATIONS[orientations])


def query_of_upload(
    live: LiveCollection,
    pictures: Sequence[PictureCode],
    variants: tuple[QueryVariant, ...],
    crop: Crop | None,
    limits: SearchLimits,
) -> Query:
    """Build the query of an upload.

    Args:
        live: The collection.
        pictures: Codes of the variants; the first is that of the whole picture.
        variants: The variants; empty if only the picture itself was encoded.
        crop: Part of the upload that is the whole picture here.
        limits: The requested rank.

    Raises:
        InvalidRequest: The collection's model has no descriptors for this rank.
    """
    picture, whole = pictures[0], _without_windows(pictures, variants, crop)
    info = QueryInfo(
        code=code_to_hex(picture.code, live.index.bits),
        bits=live.index.bits,
        sha256=picture.sha256,
        width=picture.width,
        height=picture.height,
    )
    codes = np.stack([one.code for one in pictures])
    ranking = WeightedBits(picture.y) if limits.rank is Rank.ASYMMETRIC else NearestOf(codes, variants)
    ranked_by, descriptors = limits.rank, None
    if limits.rank is Rank.AUTO or limits.rank in BY_DESCRIPTOR:
        descriptors = _descriptors_of(pictures) if wants_descriptors(live, limits) else None
        ranked_by = Rank.HAMMING if descriptors is None else rank_by_descriptor(limits)
    hashes = turned = None
    if limits.rank in COPIES_FIRST and descriptors is not None:
        hashes, turned = _hashes_of(pictures, variants or (QueryVariant(),), turned=len(whole))
    colours = signatures_of([one.colours for one in pictures]) if limits.colour else None
    return Query(
        ranking,
        info,
        ranked_by=ranked_by,
        descriptors=descriptors,
        hashes=hashes,
        turned_hashes=turned,
        colours=colours,
        copy=_copy_query(whole),
    )


def _descriptors_of(pictures: Sequence[PictureCode]) -> NDArray[np.int8]:
    """Return the descriptors of variants of one picture, shape (n, m)."""
    octets = [one.descriptor for one in pictures if one.descriptor is not None]
    if not octets:
        raise not_ranked("the collection's model has no descriptors; use rank auto, hamming or asymmetric")
    return np.frombuffer(b"".join(octets), np.int8).reshape(len(octets), -1)


def _without_windows(
    pictures: Sequence[PictureCode], variants: Sequence[QueryVariant], crop: Crop | None
) -> Sequence[PictureCode]:
    """Return the codes of the whole picture and of its content: of the first two variants, if no windows."""
    outer = WHOLE if crop is None else Region(*crop)
    windows = {window.within(outer) for window in WINDOWS}
    return [
        one
        for one, v in zip(pictures[:2], variants or (QueryVariant(),), strict=False)
        if v.region not in windows
    ]


def _copy_query(pictures: Sequence[PictureCode]) -> CopyQuery:
    """Return what tells the copies of a picture, from the codes of the whole and of its content."""
    hashes = [one.perceptual.code for one in pictures if one.perceptual is not None]
    octets = [one.descriptor for one in pictures if one.descriptor is not None]
    return CopyQuery(
        np.stack(hashes) if hashes else np.empty((0, words_for(HASH_BITS)), np.uint64),
        np.stack([np.frombuffer(one, np.int8) for one in octets]) if octets else None,
        pictures[0].is_blank,
    )


def _hashes_of(
    pictures: Sequence[PictureCode], variants: Sequence[QueryVariant], *, turned: int
) -> tuple[NDArray[np.uint64] | None, NDArray[np.uint64] | None]:
    """Return the hashes of the variants, and of the first ``turned`` in orientations that are no variants.

    Windows are not turned: hundreds of hashes would take long to search for.
    """
    tried = {variant.orientation - 1 for variant in variants}
    rest = [row for row in range(ORIENTATIONS) if row not in tried]
    pairs = zip(pictures, variants, strict=True)
    own = [one.perceptual.codes[v.orientation - 1] for one, v in pairs if one.perceptual is not None]
    others = [one.perceptual.codes[rest] for one in pictures[:turned] if rest and one.perceptual is not None]
    return (np.stack(own) if own else None), (np.concatenate(others) if others else None)


def _borders(pixels: NDArray[np.uint8]) -> Sequence[QueryVariant]:
    return [QueryVariant(region=region) for region in dict.fromkeys((WHOLE, content_of(pixels)))]


def _windows(pixels: NDArray[np.uint8]) -> Sequence[QueryVariant]:
    return [QueryVariant(region=region) for region in regions_of(pixels)]


_PARTS: Final[dict[Regions, VariantsOf]] = {Regions.BORDERS: _borders, Regions.AUTO: _windows}


def _turned(orientations: Sequence[int], _: NDArray[np.uint8]) -> Sequence[QueryVariant]:
    return [QueryVariant(orientation) for orientation in orientations]
