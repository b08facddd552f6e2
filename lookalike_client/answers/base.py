"""Base of all answers."""

from typing import Any, TypeAlias

import msgspec

Metadata: TypeAlias = dict[str, Any]
"""Metadata of a picture, as its owner stored it."""
JsonObject: TypeAlias = dict[str, Any]
"""A JSON object whose fields depend on the kind of job or model."""


class Answer(msgspec.Struct, frozen=True):
    """An immutable answer; fields that this version of the client does not know are ignored."""
