"""Schemas of multipart forms, and the OpenAPI text of bodies that handlers parse by hand."""

from typing import Any, Final

from app.api.schemas.imports import ON_NEAR_DUPLICATE
from app.api.schemas.search import (
    COLOUR_DESCRIPTION,
    DIVERSIFY_DESCRIPTION,
    MAX_LIMIT,
    RANK_DESCRIPTION,
    REGIONS_DESCRIPTION,
)
from app.domain.ranks import Rank
from app.domain.variants import Regions

BYTES: Final = {"type": "string", "format": "binary"}
"""Schema of a file, in the form that client generators understand."""


def _file(description: str) -> dict[str, Any]:
    return {**BYTES, "description": description}


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


_COLLECTION: Final = _text("Name of the collection", default="default")
_ON_DUPLICATE: Final = _text(
    "What to do with a picture whose id is already stored", enum=["skip", "replace", "error"], default="skip"
)
_ON_NEAR_DUPLICATE: Final = _text(ON_NEAR_DUPLICATE, enum=["report", "skip", "error"])

FORMS: Final[dict[str, dict[str, Any]]] = {
    "SearchUpload": {
        "description": "A picture to search with.",
        "required": ["file"],
        "properties": {
            "file": _file("The query picture"),
            "collection": _COLLECTION,
            "limit": {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_LIMIT,
                "default": 20,
                "description": "Maximum number of results",
            },
            "max_distance": {
                "type": "integer",
                "minimum": 0,
                "description": "Largest Hamming distance, inclusive",
                "examples": [512],
            },
            "min_score": {
                "type": "number",
                "minimum": 0,
                "maximum": 1,
                "description": "Least score, inclusive",
                "examples": [0],
            },
            "filter": _text(
                'A FilterDocument as JSON text, such as {"must": [{"key": "kind", "match": "scene"}]}',
                examples=["{}"],
            ),
            "crop": _text(
                "A CropBox as JSON text: a part of the picture, in fractions of its sides",
                examples=['{"x": 0, "y": 0, "width": 1, "height": 1}'],
            ),
            "orientations": {
                "type": "integer",
                "enum": [1, 2, 4, 8],
                "default": 1,
                "description": "2: mirrored too; 4: turned by quarters too; 8: both, in one pass",
            },
            "regions": _text(REGIONS_DESCRIPTION, enum=[one.value for one in Regions], examples=["borders"]),
            "rank": _text(RANK_DESCRIPTION, enum=[rank.value for rank in Rank], default="auto"),
            "diversify": {
                "type": "number",
                "minimum": 0,
                "maximum": 1,
                "default": 0,
                "description": DIVERSIFY_DESCRIPTION,
            },
            "colour": {
                "type": "number",
                "minimum": 0,
                "maximum": 1,
                "default": 0,
                "description": COLOUR_DESCRIPTION,
            },
        },
    },
    "CompareUpload": {
        "description": "Two pictures to compare; as plain text, a part may be the id of a stored one.",
        "required": ["first", "second"],
        "properties": {
            "first": _file("The first picture"),
            "second": _file("The second picture"),
            "collection": _text(
                "The collection whose model compares, and which contains stored pictures", default="default"
            ),
        },
    },
    "AddUpload": {
        "description": "Pictures to add.",
        "required": ["files"],
        "properties": {
            "files": {
                "type": "array",
                "items": BYTES,
                "description": "1 to 32 pictures",
            },
            "ids": _text(
                'JSON array with an id or null (sha256:… of the bytes) for each file, such as ["sku-88", null]',
                examples=["[null]"],
            ),
            "uris": _text(
                "JSON array with the original's location or null for each file",
                examples=["[null]"],
            ),
            "metadata": _text(
                "JSON array with an object or null for each file",
                examples=['[{"brand": "acme", "year": 2024}]'],
            ),
            "collection": _COLLECTION,
            "on_duplicate": _ON_DUPLICATE,
            "suggest": {
                "type": "boolean",
                "default": False,
                "description": "Suggest words for each stored picture, as GET /images/{id}/suggestions does",
            },
            "on_near_duplicate": _ON_NEAR_DUPLICATE,
        },
    },
    "ImportUpload": {
        "description": "An archive of pictures, or a list of references to them.",
        "properties": {
            "archive": _file("A zip, tar or tar.gz"),
            "list": _file("Instead of an archive: references as a file named .csv, .ndjson or .jsonl"),
            "collection": _COLLECTION,
            "on_duplicate": _ON_DUPLICATE,
            "on_near_duplicate": _ON_NEAR_DUPLICATE,
            "label": {
                "type": "boolean",
                "default": True,
                "description": "Store the name of a file's folder as the metadata key `label`",
            },
        },
    },
    "PictureUpload": {
        "description": "The picture to store under the id.",
        "required": ["file"],
        "properties": {
            "file": _file("The picture"),
            "uri": _text("Where the original is", examples=["shop/88.jpg"]),
            "metadata": _text("A JSON object", examples=['{"brand": "acme"}']),
        },
    },
}
"""Schemas by name.

The documentation page fills in the first example of every field, so an example must not restrict the answer.
"""


def form_body(name: str, example: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI text of a multipart body.

    Args:
        name: A schema of ``FORMS``.
        example: What the documentation page fills in; optional fields that restrict the answer stay out of it.
    """
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": schema, "example": example}},
        }
    }


def json_body(name: str, examples: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI text of a JSON body.

    Args:
        name: The name of its schema.
        examples: OpenAPI examples; the documentation page fills in the first.
    """
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "examples": examples}},
        }
    }
