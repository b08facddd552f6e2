"""Shapes that several answers share."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Schema(BaseModel):
    """A shape whose unknown fields are refused, so that a misspelt one is noticed."""

    model_config = ConfigDict(extra="forbid")


def shown_as(example: dict[str, Any]) -> ConfigDict:
    """The configuration of a shape whose documentation shows this example."""
    return ConfigDict(json_schema_extra={"examples": [example]})


class FieldProblem(BaseModel):
    """What is wrong with one part of the request."""

    pointer: str = Field(description="JSON pointer of the part", examples=["/filter/must/0/key"])
    detail: str = Field(examples=["a finite number"])


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = Field(examples=["urn:lookalike:problem:unknown_image"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no picture 'sku-1' in collection 'default'"])
    instance: str = Field(examples=["/images/sku-1"])
    code: str = Field(description="Stable; write your handling against it", examples=["unknown_image"])
    request_id: str = Field(examples=["6f1c2b0a5d7e4c0c9a3b"])
    errors: list[FieldProblem] = []


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of an operation that may answer these statuses with a problem."""
    reasons = {
        400: "The body cannot be parsed.",
        401: "A valid key is needed.",
        403: "The key lacks the scope.",
        404: "There is no such thing.",
        409: "It conflicts with what is stored.",
        410: "The bytes are not kept or cannot be read.",
        412: "It has changed since the version in If-Match.",
        413: "The body or the picture is too large.",
        415: "The bytes are not a supported picture.",
        422: "The request or the picture is not valid.",
        503: "Not now: see Retry-After.",
        507: "There is no space left.",
    }
    return {
        status: {
            "description": reasons[status],
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in (*statuses, 401, 403)
    }


Metadata = dict[str, Any]
