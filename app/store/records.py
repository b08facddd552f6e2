"""What the repositories take and return."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.domain.access import Scope
from app.domain.jobs import ItemStatus, JobKind, JobState, Request


class Keeps(StrEnum):
    """What a collection keeps of its pictures."""

    COPIES = "copies"
    """The bytes, in the picture store."""
    REFERENCES = "references"
    """Only the uri; nothing can be encoded anew from it."""


class Origin(StrEnum):
    """Where a model comes from."""

    SHIPPED = "shipped"
    TRAINED = "trained"


class ChangeKind(StrEnum):
    """What a change number stands for."""

    IMAGE_PUT = "image_put"
    IMAGE_PATCHED = "image_patched"
    IMAGE_DELETED = "image_deleted"
    COLLECTION_PUT = "collection_put"
    COLLECTION_DELETED = "collection_deleted"
    MODEL_PUT = "model_put"
    KEYS = "keys"
    CODE_PUT = "code_put"
    """A picture that was there got its code under one model."""


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model that the service knows."""

    name: str
    digest: str
    """SHA-256 over the artifact's files: equal digests, equal codes."""
    bits: int
    descriptor_bytes: int
    """Bytes of a descriptor, 0 where the model has none."""
    origin: Origin
    document: dict[str, Any]
    """The artifact's model.json."""
    location: str
    """Where the artifact lies: a folder, or an address in the picture store."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CollectionRecord:
    """A user's set of pictures."""

    pk: int
    name: str
    model: str
    previous_model: str | None
    """The model before the last switch; its codes are kept for a rollback until they are pruned."""
    keeps: Keeps
    description: str | None
    created_at: datetime
    updated_at: datetime
    next_model: str | None = None
    """A model that the collection is being encoded under anew."""
    warming_model: str | None = None
    """A model that every process loads an index of, to switch to it together."""

    @property
    def coded_models(self) -> tuple[str, ...]:
        """Every model under which a picture that is added gets a code; the one searched with comes first."""
        models = (self.model, self.next_model, self.warming_model, self.previous_model)
        return tuple(dict.fromkeys(model for model in models if model is not None))


@dataclass(frozen=True, slots=True)
class Missing:
    """Pictures of a collection that have no code under a model."""

    count: int
    by_reason: dict[str, int]
    """Of those where encoding was tried, how many failed with which error code."""

    @property
    def failed(self) -> int:
        """How many could not be encoded."""
        return sum(self.by_reason.values())

    @property
    def pending(self) -> int:
        """How many have not been tried yet."""
        return self.count - self.failed


@dataclass(frozen=True, slots=True)
class ImageCode:
    """A picture under one model."""

    model: str
    code: bytes
    """bits / 8 little-endian bytes."""
    descriptor: bytes | None = None


@dataclass(frozen=True, slots=True)
class NewImage:
    """A picture that is to be stored."""

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
    """Whether it is all but uniform, so that its code says nothing of what it is a copy of."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """A stored picture."""

    number: int
    """Insertion number; it stays when the picture is patched or replaced."""
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
    """1 at first, one more with each patch or replacement."""
    change: int
    """Number of the last change to it."""
    created_at: datetime
    updated_at: datetime
    is_blank: bool = False
    """Whether it is all but uniform, so that its code says nothing of what it is a copy of."""


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
    """The first characters of the key, to recognise it by."""
    secret_hash: str
    """SHA-256 of the secret, in hex. A random secret of 256 bits needs no slow hash: it cannot be guessed."""
    scope: Scope
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class IdempotencyClaim:
    """The right to answer the request with an idempotency key."""

    scope_id: str
    key: str
    token: str
    """Names this attempt, so that one whose lease ran out changes nothing of its successor's."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What a request with this idempotency key was answered."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job and how far it is."""

    id: str
    kind: JobKind
    state: JobState
    request: Request | None
    """What it was asked to do after the batch in hand."""
    arguments: dict[str, Any]
    collection_pk: int | None
    exclusive: str | None
    phase: str | None
    done: int
    total: int | None
    """Items in all, None while that is not known."""
    rate_per_s: float
    """Items a second, over the parts that are being worked on."""
    result: dict[str, Any] | None
    error_code: str | None
    error_detail: str | None
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class JobItem:
    """What became of one item of a job."""

    position: int
    """Its place in the source, from 0."""
    status: ItemStatus
    name: str
    """What the source calls it: a path, a line, an address."""
    image_id: str | None = None
    error_code: str | None = None
    error_detail: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to one part of a job."""

    job_id: str
    part: int
    attempt: int
    """The fencing token: a later claim has a higher one, and what bears a lower one is refused."""
    kind: JobKind
    arguments: dict[str, Any]
    part_arguments: dict[str, Any]
    checkpoint: dict[str, Any]
    """What the last committed batch left; empty at first."""
    strikes: int
    """Earlier attempts since that checkpoint: they ended without one of their own."""
    is_taken_over: bool = False
    """Whether the worker before did not give the part back: it died, froze, or hung."""


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """A process that works on this database."""

    id: str
    kind: str
    host: str
    pid: int
    reached_change: int | None
    """Change number at which its indexes stand; None where it has none."""
    started_at: datetime
    heartbeat_at: datetime
    training_lacks: str | None = None
    """Packages that it would need to train, separated by commas; None where it has not said."""


@dataclass(frozen=True, slots=True)
class ModelReport:
    """What a process says of serving one collection under another model than the active one."""

    collection_pk: int
    model: str
    is_ready: bool
    detail: str | None = None
    """Why it cannot."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether one process can serve a collection under a model."""

    id: str
    host: str
    pid: int
    is_ready: bool | None
    """None where it has not said yet."""
    detail: str | None
    """Why it cannot."""
