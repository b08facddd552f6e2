"""Schemas of imports."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from app.api.schemas.common import Schema
from app.api.typed_values import BOOLEAN
from app.domain.duplicates import OnDuplicate, OnNearDuplicate

ON_NEAR_DUPLICATE = (
    "What to do with a copy, edited or not, of a picture that has another id and is stored or came earlier in "
    "the request or import: add it and name those pictures, leave it out, or refuse it. By default, copies are "
    "not detected."
)

Text = Annotated[str, Field(min_length=1, max_length=2048)]


class ImportFields(Schema):
    """Options of an import."""

    collection: str = "default"
    on_duplicate: OnDuplicate = OnDuplicate.SKIP
    on_near_duplicate: OnNearDuplicate | None = Field(None, description=ON_NEAR_DUPLICATE)
    label: bool = Field(True, description="Store the name of a file's folder as the metadata key `label`")


class ImportForm(ImportFields):
    """Options of an import as the text of a form or of query parameters."""

    label: Annotated[bool, BOOLEAN] = True


class ImportRequest(ImportFields):
    """Import from exactly one of ``folder``, ``prefix`` and ``urls``."""

    folder: Text | None = Field(
        None, description="A folder below LOOKALIKE_IMPORT_ROOT", examples=["shoes/2024"]
    )
    prefix: Text | None = Field(
        None,
        description="An object-store prefix below one of LOOKALIKE_IMPORT_PREFIXES",
        examples=["s3://shop/pictures/"],
    )
    urls: list[Text] | None = Field(
        None,
        min_length=1,
        max_length=10_000,
        description="Addresses on hosts of LOOKALIKE_FETCH_HOSTS",
        examples=[["https://images.example/88.jpg"]],
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.folder, self.prefix, self.urls)) != 1:
            raise ValueError("give exactly one of folder, prefix and urls")
        return self
