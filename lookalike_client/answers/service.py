"""Answers about the service itself."""

from datetime import datetime

from lookalike_client.answers.base import Answer


class Health(Answer, frozen=True, kw_only=True):
    """Whether the process is alive."""

    status: str
    """ok."""


class Readiness(Answer, frozen=True, kw_only=True):
    """Whether the process can answer searches."""

    status: str
    """ready."""
    index_version: int
    """Change number of the index; increases with every write."""


class CollectionInfo(Answer, frozen=True, kw_only=True):
    """Summary of one collection."""

    name: str
    """The name."""
    model: str
    """Name of the model."""
    bits: int
    """Length of a code, in bits."""
    images: int
    """Number of pictures."""


class Starting(Answer, frozen=True, kw_only=True):
    """Progress of a service that is starting."""

    phase: str
    """loading: indexes are loaded; samples: the sample gallery is added."""
    done: int | None = None
    """Samples added so far."""
    total: int | None = None
    """Samples in all."""
    detail: str | None = None
    """Why searches cannot be answered yet."""


class Info(Answer, frozen=True, kw_only=True):
    """Version, collections, models, memory and limits."""

    version: str
    """Version of the service."""
    model: str
    """Name of the default model."""
    collections: tuple[CollectionInfo, ...]
    """The collections."""
    images: int
    """Number of pictures."""
    index_version: int
    """Change number of the index; increases with every write."""
    index_bytes: int
    """Memory of the indexes in this process, in bytes."""
    memory_bytes: int | None = None
    """Of the process; None for keys that only search or are bound."""
    limits: dict[str, int]
    """Limits of this service, by setting."""
    formats: tuple[str, ...]
    """Media types of the pictures that are decoded."""
    indexes: tuple[str, ...] = ("local",)
    """Where a new collection may have its index: local, clickhouse."""
    keys_required: bool
    """Whether requests need a key."""
    scope: str | None = None
    """What this caller may do, as a scope of keys; ``admin`` while no key is needed."""
    starting: Starting | None = None
    """None once everything is loaded and the samples are added."""


class Process(Answer, frozen=True, kw_only=True):
    """A process that uses the database."""

    kind: str
    """api or worker."""
    host: str
    """Name of the machine."""
    pid: int
    """Id of the process on its machine."""
    started_at: datetime
    """Time when a worker started the job, in UTC; None before."""
    heartbeat_at: datetime
    """Time of the last heartbeat, in UTC."""
    training_lacks: str | None = None
    """Of a worker: packages that it would need to train."""


class Room(Answer, frozen=True, kw_only=True):
    """Room for more pictures of a collection on this machine."""

    collection: str
    """Name of the collection."""
    pictures: int
    """The smaller of the next two values."""
    by_memory: int | None = None
    """None where the system does not tell its free memory."""
    by_disk: int
    """Number of pictures that fit into the free disk space."""
    index_bytes_per_picture: float
    """Memory that the index takes for a picture."""
    stored_bytes_per_picture: float
    """Disk that a picture takes, by the last 200 added."""
    search_ms: float | None = None
    """Median scan for the 20 nearest, measured now; None if empty."""


class System(Answer, frozen=True, kw_only=True):
    """The machine of this process, and the processes on its database."""

    free_memory_bytes: int | None = None
    """Free memory of the machine, in bytes."""
    free_disk_bytes: int
    """Free space of the data folder's disk, in bytes."""
    processes: tuple[Process, ...]
    """Those with a recent heartbeat, oldest first."""
    room: tuple[Room, ...]
    """How many more pictures fit."""
