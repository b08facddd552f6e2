"""Records that the repositories accept and return."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.domain.access import Scope
from app.domain.jobs import ItemStatus, JobKind, JobState, Request


class Keeps(StrEnum):
    """The form in which a collection keeps its pictures."""

    COPIES = "copies"
    """The bytes, in the picture store."""
    REFERENCES = "references"
    """Only the URI; such pictures cannot be encoded again."""


class Origin(StrEnum):
    """Origin of a model."""

    SHIPPED = "shipped"
    TRAINED = "trained"


class ChangeKind(StrEnum):
    """Kind of a change in the feed."""

    IMAGE_PUT = "image_put"
    IMAGE_PATCHED = "image_patched"
    IMAGE_DELETED = "image_deleted"
    COLLECTION_PUT = "collection_put"
    COLLECTION_DELETED = "collection_deleted"
    MODEL_PUT = "model_put"
    KEYS = "keys"
    CODE_PUT = "code_put"
    """A stored picture got its code under a model."""


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A registered model."""

    name: str
    digest: str
    """SHA-256 over the artifact's files; models with equal digests produce equal codes."""
    bits: int
    descriptor_bytes: int
    """Size of a descriptor in bytes; 0 if the model has none."""
    origin: Origin
    document: dict[str, Any]
    """The artifact's model.json."""
    location: str
    """Location of the artifact: a folder, or a key in the picture store."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CollectionRecord:
    """A named set of pictures."""

    pk: int
    name: str
    model: str
    previous_model: str | None
    """The model before the last switch; its codes are kept for a rollback until pruned."""
    keeps: Keeps
    description: str | None
    created_at: datetime
    updated_at: datetime
    next_model: str | None = None
    """The model under which the collection is being re-encoded."""
    warming_model: str | None = None
    """The model whose index every process loads before a switch."""

    @property
    def coded_models(self) -> tuple[str, ...]:
        """Models under which a new picture gets a code, starting with the active one."""
        models = (self.model, self.next_model, self.warming_model, self.previous_model)
        return tuple(dict.fromkeys(model for model in models if model is not None))


@dataclass(frozen=True, slots=True)
class Missing:
    """Pictures of a collection that have no code under a model."""

    count: int
    by_reason: dict[str, int]
    """Number of pictures that could not be encoded, by error code."""

    @property
    def failed(self) -> int:
        """Number of pictures that could not be encoded."""
        return sum(self.by_reason.values())

    @property
    def pending(self) -> int:
        """Number of pictures that have not been tried yet."""
        return self.count - self.failed


@dataclass(frozen=True, slots=True)
class ImageCode:
    """The code and descriptor of a picture under one model."""

    model: str
    code: bytes
    """bits / 8 little-endian bytes."""
    descriptor: bytes | None = None


@dataclass(frozen=True, slots=True)
class NewImage:
    """A picture to store."""

    image_id: str
    sha256: str
    uri: str | None
    metadata: dict[str, Any]
    width: int
    height: int
    media_type: str
    size_bytes: int
    has_bytes: bool
    codes: tuple[ImageCode, ...]
    is_blank: bool = False
    """Whether it is nearly uniform, so that its code does not identify copies."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """A stored picture."""

    number: int
    """Insertion number, which patches and replacements keep."""
    collection_pk: int
    image_id: str
    sha256: str
    uri: str | None
    metadata: dict[str, Any]
    width: int
    height: int
    media_type: str
    size_bytes: int
    has_bytes: bool
    revision: int
    """Starts at 1; each patch or replacement increments it."""
    change: int
    """Number of the last change."""
    created_at: datetime
    updated_at: datetime
    is_blank: bool = False
    """Whether it is nearly uniform, so that its code does not identify copies."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the change feed."""

    change: int
    kind: ChangeKind
    collection_pk: int | None
    number: int | None
    model: str | None


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key, without its secret."""

    id: str
    name: str
    prefix: str
    """First characters of the key, for display."""
    secret_hash: str
    """SHA-256 of the secret, in hex. A random 256-bit secret needs no slow hash."""
    scope: Scope
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class IdempotencyClaim:
    """The exclusive right to process the request with an idempotency key."""

    scope_id: str
    key: str
    token: str
    """Fencing token: writes of this attempt are ignored after another attempt has taken over."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The stored HTTP answer to a request with an idempotency key."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job and its progress."""

    id: str
    kind: JobKind
    state: JobState
    request: Request | None
    """Operator request to handle after the current batch."""
    arguments: dict[str, Any]
    collection_pk: int | None
    exclusive: str | None
    phase: str | None
    done: int
    total: int | None
    """Number of items; None while unknown."""
    rate_per_s: float
    """Items per second, summed over the running parts."""
    result: dict[str, Any] | None
    error_code: str | None
    error_detail: str | None
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class JobItemRecord:
    """The outcome of one item of a job."""

    position: int
    """Position in the source, from 0."""
    status: ItemStatus
    name: str
    """Name in the source: a path, a line or a URL."""
    image_id: str | None = None
    error_code: str | None = None
    error_detail: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to one part of a job."""

    job_id: str
    part: int
    attempt: int
    """Fencing token: each claim increments it, and writes with a lower one are refused."""
    kind: JobKind
    arguments: dict[str, Any]
    part_arguments: dict[str, Any]
    checkpoint: dict[str, Any]
    """State after the last committed batch; empty at first."""
    strikes: int
    """Consecutive attempts since the last checkpoint."""
    is_taken_over: bool = False
    """Whether the previous worker died, froze or hung instead of releasing the part."""


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
