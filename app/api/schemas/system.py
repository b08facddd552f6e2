"""Schemas of the service's own state."""

from datetime import datetime

from pydantic import BaseModel, Field

from app.api.schemas.common import shown_as
from app.domain.access import Scope
from app.images.formats import ACCEPTED_MEDIA_TYPES


class Health(BaseModel):
    """Whether the process is alive."""

    model_config = shown_as({"status": "ok"})

    status: str


class Readiness(BaseModel):
    """Whether the process can answer searches."""

    model_config = shown_as({"status": "ready", "index_version": 4183})

    status: str
    index_version: int


class CollectionInfo(BaseModel):
    """Summary of one collection."""

    name: str
    model: str
    bits: int
    images: int


class Starting(BaseModel):
    """Progress of a service that is starting."""

    phase: str = Field(description="loading: indexes are loaded; samples: the sample gallery is added")
    done: int | None = Field(description="Samples added so far")
    total: int | None = Field(description="Samples in all")
    detail: str | None = Field(description="Why searches cannot be answered yet")


class Info(BaseModel):
    """Version, collections, models, memory and limits."""

    model_config = shown_as(
        {
            "version": "0.2.0",
            "model": "lite2-256",
            "collections": [{"name": "default", "model": "lite2-256", "bits": 256, "images": 324}],
            "images": 312,
            "index_version": 325,
            "index_bytes": 12480,
            "memory_bytes": 215000000,
            "limits": {
                "max_upload_bytes": 20000000,
                "max_files_per_request": 32,
                "max_pixels": 40000000,
                "max_scans": 64,
            },
            "formats": list(ACCEPTED_MEDIA_TYPES),
            "indexes": ["local"],
            "keys_required": False,
            "scope": "admin",
            "starting": None,
        }
    )

    version: str
    model: str
    collections: list[CollectionInfo]
    images: int
    index_version: int
    index_bytes: int
    memory_bytes: int | None = Field(description="Of the process; null for keys that only search or are bound")
    limits: dict[str, int]
    formats: list[str] = Field(description="Media types of the pictures that are decoded")
    indexes: list[str] = Field(description="Where a new collection may have its index: local, clickhouse")
    keys_required: bool
    scope: Scope = Field(
        description="What this caller may do, as a scope of keys; `admin` while no key is needed"
    )
    starting: Starting | None = Field(description="null once everything is loaded and the samples are added")


class ProcessShape(BaseModel):
    """A process that uses the database."""

    kind: str = Field(description="api or worker")
    host: str
    pid: int
    started_at: datetime
    heartbeat_at: datetime
    training_lacks: str | None = Field(description="Of a worker: packages that it would need to train")


class RoomShape(BaseModel):
    """Room for more pictures of a collection on this machine."""

    collection: str
    pictures: int = Field(description="The smaller of the next two values")
    by_memory: int | None = Field(description="null if the system does not report its free memory")
    by_disk: int
    index_bytes_per_picture: float = Field(
        description="Memory that the code and the perceptual hash of a picture take in indexes"
    )
    stored_bytes_per_picture: float = Field(description="Disk that a picture takes, by the last 200 added")
    search_ms: float | None = Field(description="Median scan for the 20 nearest, measured now; null if empty")


class SystemShape(BaseModel):
    """The machine of this process, and the processes on its database."""

    model_config = shown_as(
        {
            "free_memory_bytes": 6200000000,
            "free_disk_bytes": 52000000000,
            "processes": [
                {
                    "kind": "worker",
                    "host": "pictures-1",
                    "pid": 4711,
                    "started_at": "2026-11-24T21:30:00Z",
                    "heartbeat_at": "2026-11-24T21:36:02Z",
                    "training_lacks": None,
                }
            ],
            "room": [
                {
                    "collection": "default",
                    "pictures": 440000,
                    "by_memory": 120000000,
                    "by_disk": 440000,
                    "index_bytes_per_picture": 82.0,
                    "stored_bytes_per_picture": 94213.0,
                    "search_ms": 0.06,
                }
            ],
        }
    )

    free_memory_bytes: int | None
    free_disk_bytes: int
    processes: list[ProcessShape] = Field(description="Those with a recent heartbeat, oldest first")
    room: list[RoomShape]
