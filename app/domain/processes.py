"""Processes that use one database, and their readiness."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """A process that uses this database."""

    id: str
    kind: str
    host: str
    pid: int
    reached_change: int | None
    """Change number of its indexes; None if it has none."""
    started_at: datetime
    heartbeat_at: datetime
    training_lacks: str | None = None
    """Missing packages that training needs, comma-separated; None if not reported."""


@dataclass(frozen=True, slots=True)
class ProcessModelReport:
    """A process's report on whether it can serve a collection under a model that is not active."""

    collection_pk: int
    model: str
    is_ready: bool
    detail: str | None = None
    """Reason if it is not ready."""


@dataclass(frozen=True, slots=True)
class ProcessReadiness:
    """Whether one process can serve a collection under a model."""

    id: str
    host: str
    pid: int
    is_ready: bool | None
    """None if the process has not reported yet."""
    detail: str | None
    """Reason if it is not ready."""
