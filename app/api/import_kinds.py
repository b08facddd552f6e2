"""Which paths start imports, and which media types are archives or lists of references."""

from typing import Final

from app.services.importing.imports import SourceKind

IMPORTING_PATHS: Final = frozenset({"/index", "/admin/jobs/index"})
"""Paths that start imports, without their version prefix."""

KIND_OF_MEDIA_TYPE: Final = {
    "application/zip": SourceKind.ARCHIVE,
    "application/x-zip-compressed": SourceKind.ARCHIVE,
    "application/x-tar": SourceKind.ARCHIVE,
    "application/gzip": SourceKind.ARCHIVE,
    "application/x-gzip": SourceKind.ARCHIVE,
    "application/x-ndjson": SourceKind.NDJSON,
    "text/csv": SourceKind.CSV,
}
