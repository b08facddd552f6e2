"""Every error that Lookalike raises on purpose.

    LookalikeError
    ├── InvalidRequest                 validation_failed
    │   ├── InvalidId                  validation_failed
    │   ├── InvalidFilter              validation_failed
    │   └── InvalidCursor              validation_failed
    ├── PictureRefused
    │   ├── NotAnImage                 not_an_image
    │   ├── UnsupportedFormat          unsupported_format
    │   ├── ImageTooLarge              image_too_large
    │   ├── ImageTooManyPixels         image_too_many_pixels
    │   ├── ImageTooManyScans          image_too_many_scans
    │   ├── PictureDamaged             picture_damaged
    │   ├── WorkerDied                 worker_died
    │   └── DecodeTimeout              decode_timeout
    ├── ArchiveRefused                 archive_refused
    ├── EntryRefused                   entry_refused
    ├── NothingToImport                nothing_to_import
    ├── UrlNotAllowed                  url_not_allowed
    ├── FetchFailed                    fetch_failed
    ├── TooManyPictures                too_many_pictures
    ├── NotFound
    │   ├── UnknownCollection          unknown_collection
    │   ├── UnknownImage               unknown_image
    │   ├── UnknownModel               unknown_model
    │   ├── UnknownKey                 unknown_key
    │   ├── UnknownBackup            unknown_backup
    │   └── UnknownJob                 unknown_job
    ├── PictureGone                    picture_gone
    ├── Conflict
    │   ├── IdExists                   id_exists
    │   ├── CollectionExists           collection_exists
    │   ├── CollectionInUse            collection_in_use
    │   ├── ModelMismatch              model_mismatch
    │   ├── ModelExists                model_exists
    │   ├── CodesMissing               codes_missing
    │   ├── ModelNotReady              model_not_ready
    │   ├── NoPreviousModel            no_previous_model
    │   ├── NotReencodable             not_reencodable
    │   ├── TrainingNotInstalled       training_not_installed
    │   ├── JobExists                  job_exists
    │   ├── JobNotCancellable          job_not_cancellable
    │   ├── JobNotResumable            job_not_resumable
    │   └── RequestInFlight            request_in_flight
    ├── PreconditionFailed             precondition_failed
    ├── AccessDenied
    │   ├── Unauthenticated            unauthenticated
    │   └── Forbidden                  forbidden
    ├── Unavailable                    (carries retry_after_s)
    │   ├── IndexNotReady              index_not_ready
    │   ├── Overloaded                 overloaded
    │   ├── ActivationPending          activation_pending
    │   ├── DatabaseUnavailable        database_unavailable
    │   ├── DecoderUnavailable         decoder_unavailable
    │   └── StorageUnavailable         storage_unavailable
    ├── StorageFull                    storage_full
    ├── FolderNotWritable              folder_not_writable
    ├── ArtifactRefused                artifact_refused
    ├── BackupRefused                  backup_refused
    └── SchemaTooNew                   schema_too_new

A class's docstring is its default detail; ``code`` is stable and part of the HTTP surface. HTTP statuses
live in ``app/api/problems.py`` alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one part of a request."""

    pointer: str
    """JSON pointer (RFC 6901) of the offending part, for instance ``/filter/must/0/key``."""
    detail: str
    """What is wrong there, in words for the caller."""


class LookalikeError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"

    def __init__(self, detail: str | None = None, *, errors: Sequence[FieldError] = ()) -> None:
        """Remember the detail (the class docstring by default) and the parts of the request it concerns."""
        self.detail = detail if detail is not None else (type(self).__doc__ or self.code)
        self.errors = tuple(errors)
        super().__init__(self.detail)

    @property
    def explanation(self) -> str:
        """The detail and what is wrong where, in one sentence, for those who see no ``errors``."""
        parts = [f"{error.pointer}: {error.detail}" for error in self.errors]
        return f"{self.detail.removesuffix('.')} ({'; '.join(parts)})" if parts else self.detail


class InvalidRequest(LookalikeError):
    """The request is not valid."""

    code = "validation_failed"


class InvalidId(InvalidRequest):
    """An id has 1 to 255 characters from A-Z a-z 0-9 _ . : @ + - and starts with neither a dot nor a hyphen."""


class InvalidFilter(InvalidRequest):
    """The filter is not valid."""


class InvalidCursor(InvalidRequest):
    """The cursor is not one that this service has given out."""


class PictureRefused(LookalikeError):
    """The picture was refused."""

    code = "picture_refused"


class NotAnImage(PictureRefused):
    """The bytes are not a picture in a supported format, or are damaged."""

    code = "not_an_image"


class UnsupportedFormat(PictureRefused):
    """The file is of a format, or has samples, that this service does not decode."""

    code = "unsupported_format"


class ImageTooLarge(PictureRefused):
    """The file is larger than this service accepts."""

    code = "image_too_large"


class ImageTooManyPixels(PictureRefused):
    """The picture has more pixels than this service decodes."""

    code = "image_too_many_pixels"


class ImageTooManyScans(PictureRefused):
    """The progressive JPEG has more scans than this service decodes."""

    code = "image_too_many_scans"


class PictureDamaged(PictureRefused):
    """The stored bytes are no longer those that were added."""

    code = "picture_damaged"


class WorkerDied(PictureRefused):
    """Every worker that took up this picture died; it was passed over."""

    code = "worker_died"


class DecodeTimeout(PictureRefused):
    """Decoding the picture took too long or too much memory and was stopped."""

    code = "decode_timeout"


class ArchiveRefused(LookalikeError):
    """The archive is damaged or holds more than this service accepts."""

    code = "archive_refused"


class EntryRefused(LookalikeError):
    """The entry of the archive is not a file that can be read."""

    code = "entry_refused"


class NothingToImport(LookalikeError):
    """There is nothing to import."""

    code = "nothing_to_import"


class UrlNotAllowed(LookalikeError):
    """Pictures are not fetched from this address."""

    code = "url_not_allowed"


class FetchFailed(LookalikeError):
    """The picture could not be fetched from its address."""

    code = "fetch_failed"


class TooManyPictures(LookalikeError):
    """The collection has too many pictures for this to be answered in a reasonable time."""

    code = "too_many_pictures"


class NotFound(LookalikeError):
    """There is nothing by that name."""

    code = "not_found"


class UnknownCollection(NotFound):
    """There is no collection by that name."""

    code = "unknown_collection"


class UnknownImage(NotFound):
    """There is no picture by that id in the collection."""

    code = "unknown_image"


class UnknownModel(NotFound):
    """There is no model by that name."""

    code = "unknown_model"


class UnknownKey(NotFound):
    """There is no key by that id."""

    code = "unknown_key"


class UnknownBackup(NotFound):
    """There is no backup by that id."""

    code = "unknown_backup"


class UnknownJob(NotFound):
    """There is no job by that id."""

    code = "unknown_job"


class PictureGone(LookalikeError):
    """The collection keeps references only, or the picture's bytes can no longer be read."""

    code = "picture_gone"


class Conflict(LookalikeError):
    """The request conflicts with what is stored."""

    code = "conflict"


class IdExists(Conflict):
    """A picture with this id is stored already."""

    code = "id_exists"


class CollectionExists(Conflict):
    """A collection with this name exists already."""

    code = "collection_exists"


class CollectionInUse(Conflict):
    """The collection cannot be deleted."""

    code = "collection_in_use"


class ModelMismatch(Conflict):
    """The code or cursor belongs to another model than the collection's."""

    code = "model_mismatch"


class ModelExists(Conflict):
    """There is a model by that name already, or one that gives the same codes."""

    code = "model_exists"


class CodesMissing(Conflict):
    """Pictures of the collection have no code under that model yet."""

    code = "codes_missing"


class ModelNotReady(Conflict):
    """A process of this service cannot serve the model."""

    code = "model_not_ready"


class NoPreviousModel(Conflict):
    """The collection has no model to go back to."""

    code = "no_previous_model"


class NotReencodable(Conflict):
    """The collection keeps references only, and nothing may be read by reference here."""

    code = "not_reencodable"


class TrainingNotInstalled(Conflict):
    """No worker has what training needs: run `make train-deps`, then restart the worker."""

    code = "training_not_installed"


class JobExists(Conflict):
    """A job like this one is under way already."""

    code = "job_exists"


class JobNotCancellable(Conflict):
    """The job is over."""

    code = "job_not_cancellable"


class JobNotResumable(Conflict):
    """The job is not in a state from which it can go on like that."""

    code = "job_not_resumable"


class RequestInFlight(Conflict):
    """A request with this idempotency key is still being answered."""

    code = "request_in_flight"


class PreconditionFailed(LookalikeError):
    """The picture has changed since the version that If-Match names."""

    code = "precondition_failed"


class AccessDenied(LookalikeError):
    """Access denied."""

    code = "access_denied"


class Unauthenticated(AccessDenied):
    """This service needs a key: Authorization: Bearer or X-API-Key."""

    code = "unauthenticated"


class Forbidden(AccessDenied):
    """The key does not have the scope that this request needs."""

    code = "forbidden"


class Unavailable(LookalikeError):
    """The service cannot answer right now."""

    code = "unavailable"

    def __init__(self, detail: str | None = None, *, retry_after_s: int = 1) -> None:
        """Remember after how many seconds the caller may try again."""
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class IndexNotReady(Unavailable):
    """The index is still loading."""

    code = "index_not_ready"


class Overloaded(Unavailable):
    """Too many requests are waiting already."""

    code = "overloaded"


class ActivationPending(Unavailable):
    """Some processes are still loading the model; ask again."""

    code = "activation_pending"


class DatabaseUnavailable(Unavailable):
    """The database did not answer in time."""

    code = "database_unavailable"


class DecoderUnavailable(Unavailable):
    """No decoding process could be started; nothing is known of the picture."""

    code = "decoder_unavailable"


class StorageUnavailable(Unavailable):
    """The picture store did not answer."""

    code = "storage_unavailable"


class StorageFull(LookalikeError):
    """There is no space left to store the picture."""

    code = "storage_full"


class FolderNotWritable(LookalikeError):
    """A folder that the service needs cannot be written to."""

    code = "folder_not_writable"


class ArtifactRefused(LookalikeError):
    """The model artifact is incomplete, damaged or does not do what it says."""

    code = "artifact_refused"


class BackupRefused(LookalikeError):
    """The backup is incomplete, damaged, or of another version's schema."""

    code = "backup_refused"


class SchemaTooNew(LookalikeError):
    """The database was migrated by a newer version of Lookalike."""

    code = "schema_too_new"
