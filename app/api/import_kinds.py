"""Paths that start imports, and media types of archives and lists of references."""

from typing import Final

from app.services.importing.imports import SourceKind

RAW_IMPORT_PATHS: Final = frozenset({"/index", "/admin/jobs/index"})
"""Paths that take an archive or a list as the whole body, without their version prefix."""

IMPORTING_PATHS: Final = RAW_IMPORT_PATHS | {"/index/upload", "/index/import"}
"""Paths that start imports, without their version prefix."""

IMPORT_PARAMETERS: Final = frozenset({"collection", "on_duplicate", "on_near_duplicate", "label"})
"""Query parameters of imports whose body is the file itself."""

KIND_OF_MEDIA_TYPE: Final = {
    "application/zip": SourceKind.ARCHIVE,
    "application/x-zip-compressed": SourceKind.ARCHIVE,
    "application/x-tar": SourceKind.ARCHIVE,
    "application/gzip": SourceKind.ARCHIVE,
    "application/x-gzip": SourceKind.ARCHIVE,
    "application/x-ndjson": SourceKind.NDJSON,
    "text/csv": SourceKind.CSV,
}
