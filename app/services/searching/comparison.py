"""Compare two pictures, uploaded or stored."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain.calibration import Calibration, Likeness
from app.domain.codes import code_to_hex, hamming
from app.domain.errors import UnknownImage
from app.domain.results import Scale
from app.encoding.hash_orientations import in_all_orientations
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.live_collection import LiveCollection
from app.services.index_sync.stored_hashes import stored_hashes
from app.services.model_registry.models import Models, ServingModel
from app.services.pictures.coding import PictureCoder, StageTimes
from app.services.searching.remote_views import without_blocking
from app.services.searching.reranking import cosine_distances
from app.store.engine import Database


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two pictures relate."""

    model: str
    bits: int
    codes: tuple[str, str]
    """The codes of both pictures, as hex."""
    distance: int
    score: float
    exact: bool
    """Whether the files are equal, byte for byte."""
    descriptor_distance: float | None
    """1 - cosine similarity of the descriptors; None if a picture has none."""
    likeness: Likeness | None
    """A copy if the rule says so, else the word for the distance; None if the model has no calibration or a
    picture is blank."""
    blank: tuple[bool, bool]
    """Whether each picture is nearly uniform."""
    shares_within: dict[str, float] | None
    """Share of pairs within this distance, for each kind of pair in the calibration."""
    took_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Side:
    sha256: str
    code: NDArray[np.uint64]
    descriptor: NDArray[np.int8] | None
    is_blank: bool
    hashes: NDArray[np.uint64] | None
    """Perceptual hash in all orientations, shape (8, 4); None without a hash."""


class Compare:
    """Compare pictures under a collection's model."""

    def __init__(
        self, database: Database, catalogue: CollectionCatalogue, models: Models, coder: PictureCoder
    ) -> None:
        """Stored pictures are those of ``catalogue``."""
        self._database = database
        self._catalogue = catalogue
        self._models = models
        self._coder = coder

    async def compare(self, first: bytes | str, second: bytes | str, collection: str) -> Comparison:
        """Compare two pictures, each given as a file's bytes or the id of a stored picture.

        Raises:
            PictureRefused: An upload is not a picture, is damaged, or exceeds a limit.
            UnknownImage: The collection does not contain the picture.
            UnknownCollection: The collection does not exist.
        """
        live = self._catalogue.collection(collection)
        model = await self._models.serving(live.record.model)
        times = StageTimes()
        a, b = [await self._side(picture, live, model, times) for picture in (first, second)]
        distance = int(hamming(a.code[np.newaxis], b.code)[0])
        exact = a.sha256 == b.sha256
        calibration = model.calibration
        # All blank pictures have the same code, so distances to them mean nothing.
        is_meaningful = calibration is not None and not (a.is_blank or b.is_blank)
        likeness = _likeness(calibration, a, b, distance) if calibration and is_meaningful else None
        times.ms["total"] = sum(times.ms.values())
        return Comparison(
            model=live.record.model,
            bits=live.index.bits,
            codes=(code_to_hex(a.code, live.index.bits), code_to_hex(b.code, live.index.bits)),
            distance=distance,
            score=Scale(0, live.index.bits).score_of(distance),
            exact=exact,
            descriptor_distance=_descriptor_distance(a, b),
            likeness=Likeness.EXACT if exact else likeness,
            blank=(a.is_blank, b.is_blank),
            shares_within=calibration.shares_within(distance) if calibration and is_meaningful else None,
            took_ms=times.ms,
        )

    async def _side(
        self, picture: bytes | str, live: LiveCollection, model: ServingModel, times: StageTimes
    ) -> _Side:
        if isinstance(picture, str):
            async with times.measure("lookup"):
                return await self._stored(picture, live)
        coded = await self._coder.code(picture, model, times=times)
        descriptor = None if coded.descriptor is None else np.frombuffer(coded.descriptor, np.int8)
        hashes = None if coded.perceptual is None else coded.perceptual.codes
        return _Side(coded.sha256, coded.code, descriptor, coded.is_blank, hashes)

    async def _stored(self, image_id: str, live: LiveCollection) -> _Side:
        pk = live.record.pk
        async with self._database.read() as unit:
            record = await unit.images.get(pk, image_id)
            number = -1 if record is None else record.number
            descriptors = await unit.images.descriptors_of(pk, live.record.model, [number])
        view = live.index.view()
        code = await without_blocking(view, view.code_of, number)
        if record is None or code is None:
            raise UnknownImage(f"there is no picture {image_id!r} in collection {live.record.name!r}")
        stored = descriptors.get(number)
        descriptor = None if stored is None else np.frombuffer(stored, np.int8)
        _, upright = await stored_hashes(self._database.lookups, live, np.array([number], np.int64))
        hashes = in_all_orientations(upright) if len(upright) else None
        return _Side(record.sha256, code, descriptor, record.is_blank, hashes)


def _likeness(calibration: Calibration, a: _Side, b: _Side, distance: int) -> Likeness:
    hash_distance = None
    if a.hashes is not None and b.hashes is not None:
        hash_distance = int(np.bitwise_count(a.hashes ^ b.hashes[0]).sum(axis=1, dtype=np.int64).min())
    return calibration.likeness_by_rule(distance, hash_distance, _descriptor_distance(a, b))


def _descriptor_distance(a: _Side, b: _Side) -> float | None:
    if a.descriptor is None or b.descriptor is None:
        return None
    return float(cosine_distances(a.descriptor[np.newaxis], b.descriptor)[0])
