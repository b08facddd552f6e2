"""Schemas of ``POST /compare``."""

from typing import Any, Final

from pydantic import BaseModel, Field

from app.api.schemas.common import Schema
from app.domain.calibration import Likeness

LIKENESS_DESCRIPTION: Final = (
    "exact: the same file; copy: most likely an edited copy; similar: most likely the same kind; unclear: "
    "possibly by chance; unrelated. See ``/collections/{name}/calibration``"
)


class CompareRequest(Schema):
    """Two stored pictures of one collection."""

    first: str = Field(examples=["sku-88"])
    second: str = Field(examples=["sku-89"])
    collection: str = "default"


COMPARE_EXAMPLE: Final[dict[str, Any]] = {
    "model": "lite2-64",
    "bits": 64,
    "codes": ["a3f1c09e5b7d2248", "a3f1c09e5b7d2249"],
    "distance": 1,
    "score": 0.984375,
    "exact": False,
    "descriptor_distance": 0.041,
    "likeness": "copy",
    "blank": [False, False],
    "shares_within": {"copies": 0.325, "same_kind": 0.0333, "unrelated": 0.0},
    "took_ms": {"decode": 3.4, "encode": 16.1, "total": 19.5},
}


class CompareResponse(BaseModel):
    """How two pictures relate."""

    model: str
    bits: int
    codes: list[str] = Field(description="The codes of both pictures, as hex of their little-endian bytes")
    distance: int = Field(description="Hamming distance between the codes")
    score: float = Field(description="1 - distance / bits")
    exact: bool = Field(description="Whether the files are equal, byte for byte")
    descriptor_distance: float | None = Field(
        description="1 - cosine similarity of the descriptors; null where a picture has none"
    )
    likeness: Likeness | None = Field(
        description=f"{LIKENESS_DESCRIPTION}; null if the model has no calibration or a picture is blank"
    )
    blank: list[bool] = Field(
        description="For each picture, whether it is nearly uniform, so that its distances mean nothing"
    )
    shares_within: dict[str, float] | None = Field(
        description="Share of pairs within this distance: of edited copies, of pictures of one kind, of "
        "unrelated pictures; null if likeness is null"
    )
    took_ms: dict[str, float]
