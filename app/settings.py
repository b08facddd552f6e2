"""Every knob of the service, read from ``LOOKALIKE_…`` environment variables by the entry points alone."""

import ipaddress
from pathlib import Path
from typing import Annotated, Final, Literal

from platformdirs import user_data_path
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_PACKAGE: Final = Path(__file__).resolve().parent
_INSTALLED: Final = (_PACKAGE / "_data").is_dir()
"""Whether this is a wheel's package, which holds the migrations and models that a checkout has beside it."""
_SHIPPED: Final = _PACKAGE / "_data" if _INSTALLED else _PACKAGE.parent


def _default_data_dir() -> Path:
    """One folder, wherever a command is run: ``data`` in a checkout, else the user's folder for data."""
    return user_data_path("lookalike", appauthor=False) if _INSTALLED else _PACKAGE.parent / "data"


ENV_PREFIX: Final = "LOOKALIKE_"
PICTURE_STORES: Final = ("file", "s3", "gs", "az")


class Misconfigured(Exception):
    """A setting that the service cannot run with: its name, its value and what to do."""

    def __init__(self, setting: str, value: object, remedy: str) -> None:
        """Explain in one line.

        Args:
            setting: The field's name.
            value: What it is set to; leave secrets out.
            remedy: What to do about it.
        """
        super().__init__(f"{ENV_PREFIX}{setting.upper()}={value}: {remedy}")


class Settings(BaseSettings):
    """Settings of one process; units stand in the names."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="ignore")

    data_dir: Path = Field(default_factory=_default_data_dir)
    """Folder of the SQLite database, the pictures and the index snapshots; by default ``data`` in a checkout,
    else ``lookalike`` in the user's data folder."""
    database_url: str | None = None
    """SQLAlchemy URL; by default SQLite in the data folder. Postgres: ``postgresql+psycopg://user@host/name``."""
    pictures_url: str | None = None
    """Where pictures are kept: ``file://``, ``s3://``, ``gs://`` or ``az://``; by default the data folder."""
    snapshots_dir: Path | None = None
    """Folder of the indexes' snapshots, of this database's alone; by default in the data folder."""
    keep_snapshots: bool = True
    """Whether indexes are kept as files, so that a start need not read every code from the database."""
    snapshot_interval_s: float = Field(default=60.0, gt=0)
    """How often a process looks whether a snapshot is due, in seconds."""
    artifacts_dir: Path = _SHIPPED / "model_artifacts"
    """Folder of the shipped model artifacts."""
    migrations_dir: Path = _SHIPPED / "migrations"
    """Folder of the alembic migrations."""
    default_model: str = "lite2-256"
    """Model of the default collection and of collections that name none."""

    host: str = "127.0.0.1"
    """Address to listen on. Any but a loopback address needs a key or ``insecure``."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on."""
    unkeyed_loopback: bool = True
    """Answer direct calls from this machine without a key until the first one is made."""
    insecure: bool = False
    """Answer anyone without a key until the first one is made, also on an address that others can reach."""
    cors_origins: Annotated[list[str], NoDecode] = []
    """Origins, separated by commas, whose pages may call the service."""
    bootstrap_admin_key: str | None = None
    """An admin key that is created at start unless it exists; at least 20 characters."""
    bootstrap_admin_key_file: Path | None = None
    """A file that holds the bootstrap admin key, as container secrets do."""
    signature_lifetime_s: int = Field(default=3600, ge=60)
    """How long signed picture addresses are good for, in seconds."""
    session_lifetime_s: int = Field(default=12 * 3600, ge=60)
    """How long the page's cookie is good for, in seconds."""

    max_upload_bytes: int = Field(default=20_000_000, ge=1)
    """Largest picture file accepted, in bytes."""
    max_json_bytes: int = Field(default=2_000_000, ge=1)
    """Largest JSON body accepted, on every address, in bytes."""
    max_files_per_request: int = Field(default=32, ge=1)
    """Most files in one ``POST /index``."""
    max_pixels: int = Field(default=40_000_000, ge=1)
    """Most pixels (width × height) that are decoded."""
    max_scans: int = Field(default=64, ge=1)
    """Most scans of a progressive JPEG that are decoded."""
    decode_timeout_s: float = Field(default=10.0, gt=0)
    """Time after which a decoding child is killed, in seconds."""
    decode_children: int = Field(default=2, ge=1)
    """Number of decoding child processes."""
    max_drained_bytes: int = Field(default=128_000_000, ge=0)
    """Most bytes of a refused upload that are read and dropped, so that its sender sees the refusal."""
    body_timeout_s: float = Field(default=30.0, gt=0)
    """Time within which a request's body must arrive, in seconds."""
    max_connections: int = Field(default=1000, ge=16)
    """Most open connections, fewer where descriptors are scarce; one more takes the place of an idle one."""
    max_connections_per_address: int = Field(default=500, ge=1)
    """Most open connections of one address; a proxy's count as one address."""
    max_head_bytes: int = Field(default=32_768, ge=1024)
    """Largest head of a request, in bytes; at most 100 headers."""
    head_timeout_s: float = Field(default=10.0, gt=0)
    """Time within which the head of a request must arrive, in seconds."""
    idle_timeout_s: float = Field(default=15.0, gt=0)
    """How long a connection may wait for its next request, in seconds."""
    write_timeout_s: float = Field(default=30.0, gt=0)
    """How long a client may leave an answer unread, in seconds."""
    max_requests_in_flight: int = Field(default=64, ge=1)
    """Uploads and searches answered at one time; one more gets 503 with Retry-After."""

    encoder_threads: int = Field(default=1, ge=1)
    """Threads of one ONNX Runtime session."""
    scan_threads: int = Field(default=1, ge=1)
    """Threads of one search among millions of pictures; more make one search quicker, not many at a time."""
    max_batch: int = Field(default=16, ge=1)
    """Most waiting pictures that are encoded in one run."""

    activation_timeout_s: float = Field(default=30.0, gt=0)
    """How long the activation of a model waits for other processes to load it, in seconds."""
    poll_interval_s: float = Field(default=0.25, gt=0)
    """How often a process looks for changes that others made, in seconds."""
    sqlite_synchronous: Literal["FULL", "NORMAL"] = "FULL"
    """FULL: an acknowledged write survives a power cut. NORMAL: only a crash of the process."""
    busy_timeout_s: float = Field(default=10.0, gt=0)
    """How long a write waits for another one, in seconds."""
    idle_in_transaction_timeout_s: float = Field(default=15.0, gt=0)
    """How long a frozen process may hold up every writer before Postgres takes its transaction, in seconds."""
    orphan_grace_s: float = Field(default=3600.0, gt=0)
    """How long the bytes of deleted pictures are kept before they are swept, in seconds."""
    sweep_interval_s: float = Field(default=60.0, gt=0)
    """How often files to remove are looked for in the picture store, in seconds."""

    max_archive_bytes: int = Field(default=5_000_000_000, ge=1)
    """Largest archive or list of references accepted, in bytes."""
    max_archive_entries: int = Field(default=10_000, ge=1)
    """Most files in an archive."""
    max_archive_unpacked_bytes: int = Field(default=50_000_000_000, ge=1)
    """Most bytes that an archive may unpack to."""
    upload_retention_hours: float = Field(default=24.0, gt=0)
    """How long the upload of an import that did not succeed whole is kept for a retry, in hours."""
    import_root: Path | None = None
    """Folder whose files imports may read; without it they read none of the server's files."""
    import_prefixes: Annotated[list[str], NoDecode] = []
    """Object-store addresses, separated by commas, below which imports may read: ``s3://bucket/folder/``."""
    fetch_hosts: Annotated[list[str], NoDecode] = []
    """Hosts, separated by commas, that pictures may be fetched from by URL; ``*`` for any public one."""
    fetch_timeout_s: float = Field(default=10.0, gt=0)
    """Time within which a picture must have been fetched by its URL, in seconds."""

    job_lease_s: float = Field(default=10.0, gt=0)
    """Time after which the work of a worker that died or hangs is another's, in seconds."""
    job_poll_s: float = Field(default=0.5, gt=0)
    """How often a worker without work looks for some, in seconds."""
    job_batch_deadline_s: float = Field(default=300.0, gt=0)
    """The longest that one batch of a job may take before it is tried again, in seconds."""
    job_retention_days: float = Field(default=30.0, gt=0)
    """How long jobs that are over are listed, in days."""
    worker_nice: int = Field(default=10, ge=0, le=19)
    """How far a worker stands back from others of its session or container when processors are busy."""

    log_format: Literal["console", "json"] = "console"
    """Form of the log lines."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""

    @field_validator("cors_origins", "import_prefixes", "fetch_hosts", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        return (
            [entry.strip() for entry in value.split(",") if entry.strip()] if isinstance(value, str) else value
        )

    @field_validator("pictures_url")
    @classmethod
    def _refuse_unknown_stores(cls, url: str | None) -> str | None:
        if url is not None and url.partition("://")[0] not in PICTURE_STORES:
            raise ValueError(f"it must begin with {', '.join(f'{scheme}://' for scheme in PICTURE_STORES)}")
        return url

    @field_validator("cors_origins")
    @classmethod
    def _refuse_any_origin(cls, origins: list[str]) -> list[str]:
        if "*" in origins:
            raise ValueError("name each origin: the page's cookie must never be usable from any origin")
        return [origin.rstrip("/") for origin in origins]

    @property
    def resolved_database_url(self) -> str:
        """The database's URL with its default filled in."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir.absolute() / 'lookalike.db'}"

    @property
    def resolved_pictures_url(self) -> str:
        """The picture store's URL with its default filled in."""
        return self.pictures_url or (self.data_dir.absolute() / "store").as_uri()

    @property
    def resolved_snapshots_dir(self) -> Path:
        """The folder of the snapshots with its default filled in."""
        return self.snapshots_dir or self.data_dir / "snapshots"

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    def read_bootstrap_admin_key(self) -> str | None:
        """The bootstrap admin key from the environment or its file.

        Raises:
            Misconfigured: The file cannot be read.
        """
        if self.bootstrap_admin_key_file is not None:
            try:
                return self.bootstrap_admin_key_file.read_text().strip() or None
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not text"
                raise Misconfigured(
                    "bootstrap_admin_key_file",
                    self.bootstrap_admin_key_file,
                    f"the file cannot be read ({reason}); name a text file that holds the key",
                ) from error
        return self.bootstrap_admin_key or None
