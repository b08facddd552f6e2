"""Errors of the service and its data: unavailable, full, or damaged."""

from app.domain.errors.base import LookalikeError


class Unavailable(LookalikeError):
    """The service cannot answer right now."""

    code = "unavailable"

    def __init__(self, detail: str | None = None, *, retry_after_s: int = 1) -> None:
        """Store the number of seconds after which the caller may retry."""
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class IndexNotReady(Unavailable):
    """The index is still loading."""

    code = "index_not_ready"


class IndexUnavailable(Unavailable):
    """The server that holds the collection's index did not respond."""

    code = "index_unavailable"


class Overloaded(Unavailable):
    """Too many requests are already waiting."""

    code = "overloaded"


class RateLimited(LookalikeError):
    """The caller has sent too many requests in a short time."""

    code = "rate_limited"

    def __init__(self, detail: str | None = None, *, retry_after_s: int) -> None:
        """Store the number of seconds after which the caller may retry."""
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Stopping(Unavailable):
    """The service is stopping; repeat the request."""

    code = "stopping"


class ActivationPending(Unavailable):
    """Some processes are still loading the model; try again."""

    code = "activation_pending"


class DatabaseUnavailable(Unavailable):
    """The database did not respond in time."""

    code = "database_unavailable"


class DecoderUnavailable(Unavailable):
    """No decoding process could be started, so the picture was not examined."""

    code = "decoder_unavailable"


class StorageUnavailable(Unavailable):
    """The picture store did not respond."""

    code = "storage_unavailable"


class StorageFull(LookalikeError):
    """There is no space left to store the picture."""

    code = "storage_full"


class FolderNotWritable(LookalikeError):
    """A folder that the service needs cannot be written to."""

    code = "folder_not_writable"


class ArtifactRefused(LookalikeError):
    """The model artifact is incomplete, damaged or inconsistent."""

    code = "artifact_refused"


class BackupRefused(LookalikeError):
    """The backup is incomplete, damaged, or from a version with another schema."""

    code = "backup_refused"


class SchemaTooNew(LookalikeError):
    """The database was migrated by a newer version of Lookalike."""

    code = "schema_too_new"


class ForeignDatabase(LookalikeError):
    """The database has tables of another application."""

    code = "foreign_database"
