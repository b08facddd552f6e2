"""Write the OpenAPI document to docs/openapi.json; tests/api/test_openapi.py holds that it is current."""

import json
import tempfile
from pathlib import Path

from app.api.app import create_app
from app.settings import Settings

TARGET = Path(__file__).resolve().parent.parent / "docs" / "openapi.json"


def document_text() -> str:
    """Return the document as indented JSON; it does not depend on settings."""
    with tempfile.TemporaryDirectory() as data_dir:
        document = create_app(Settings(data_dir=Path(data_dir))).openapi()
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(document_text(), encoding="utf-8")
    print(f"wrote {TARGET}")
