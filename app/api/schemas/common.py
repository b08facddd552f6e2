"""Schemas shared by several answers."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from app.api.typed_values import check_type
from app.images.formats import ACCEPTED_NAMES


class Schema(BaseModel):
    """A schema that refuses unknown fields, so that a misspelt name is an error.

    It also refuses lone surrogates, and texts where a number or a boolean is documented.
    """

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _has_its_type(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name is not None:
            check_type(value, cls.model_fields[info.field_name])
        return value

    @field_validator("*")
    @classmethod
    def _is_unicode(cls, value: Any) -> Any:
        # JSON may hold lone surrogates, which the validator passes on and no database stores.
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
                raise ValueError("must be text in UTF-8")
        return value


def shown_as(example: dict[str, Any]) -> ConfigDict:
    """Model configuration whose documentation shows this example."""
    return ConfigDict(json_schema_extra={"examples": [example]})


class FieldProblem(BaseModel):
    """An error in one part of the request."""

    pointer: str = Field(description="JSON pointer to the part", examples=["/filter/must/0/key"])
    detail: str = Field(examples=["a finite number"])


class Problem(BaseModel):
    """An error in the form of RFC 9457."""

    type: str = Field(examples=["urn:lookalike:problem:unknown_image"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no picture 'sku-1' in collection 'default'"])
    instance: str = Field(examples=["/images/sku-1"])
    code: str = Field(description="Stable code; handle errors by it", examples=["unknown_image"])
    request_id: str = Field(examples=["6f1c2b0a5d7e4c0c9a3b"])
    errors: list[FieldProblem]
    accepted: list[str] | None = Field(
        default=None, description="With 415 for a file: media types of the pictures that are decoded"
    )


_EVERYWHERE: Final = (400, 401, 403, 422, 429, 503)
"""Errors that any operation may answer: malformed requests, limits of the caller, and load."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI ``responses`` of an operation that may answer a problem with these statuses."""
    reasons = {
        400: "The request cannot be parsed, or repeats a query parameter or a header.",
        401: "A valid key is required.",
        403: "The key lacks the scope, or is bound to other collections.",
        404: "The resource does not exist.",
        408: "The body did not arrive in time.",
        409: "The request conflicts with the stored state.",
        410: "The file is not stored here or cannot be read.",
        412: "The picture has changed since the version in If-Match.",
        413: "The body or the picture is too large.",
        415: f"The file is not a picture in a supported format: {ACCEPTED_NAMES}.",
        422: "The request or the picture is not valid.",
        429: "This caller sends too much at once or per minute; see Retry-After.",
        503: "Temporarily unavailable; see Retry-After.",
        507: "The disk is full.",
    }
    return {
        status: {
            "description": reasons[status],
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted({*statuses, *_EVERYWHERE})
    }


Metadata = dict[str, Any]
