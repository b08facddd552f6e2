"""JSON answers that are encoded by msgspec."""

from typing import Any

import msgspec
from fastapi.responses import JSONResponse


class FastJSONResponse(JSONResponse):
    """A JSON answer of plain dictionaries; msgspec is several times as fast as the standard library."""

    def render(self, content: Any) -> bytes:
        """Encode the document."""
        return msgspec.json.encode(content)
