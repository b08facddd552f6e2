"""All errors that Lookalike raises deliberately.

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
    ├── TextNotUnderstood              text_not_understood
    ├── TextNotSupported               text_not_supported
    ├── TooManyPictures                too_many_pictures
    ├── NotFound
    │   ├── UnknownCollection          unknown_collection
    │   ├── UnknownImage               unknown_image
    │   ├── UnknownModel               unknown_model
    │   ├── UnknownKey                 unknown_key
    │   ├── UnknownBackup              unknown_backup
    │   └── UnknownJob                 unknown_job
    ├── PictureGone                    picture_gone
    │   └── FileDamaged                file_damaged
    ├── Conflict
    │   ├── IdExists                   id_exists
    │   ├── NearDuplicateExists        near_duplicate_exists
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
    │   ├── KeyRevoked                 key_revoked
    │   └── RequestInFlight            request_in_flight
    ├── PreconditionFailed             precondition_failed
    ├── AccessDenied
    │   ├── Unauthenticated            unauthenticated
    │   └── Forbidden                  forbidden
    ├── Unavailable                    (carries retry_after_s)
    │   ├── IndexNotReady              index_not_ready
    │   ├── IndexUnavailable           index_unavailable
    │   ├── Overloaded                 overloaded
    │   ├── Stopping                   stopping
    │   ├── ActivationPending          activation_pending
    │   ├── DatabaseUnavailable        database_unavailable
    │   ├── DecoderUnavailable         decoder_unavailable
    │   └── StorageUnavailable         storage_unavailable
    ├── RateLimited                    rate_limited (carries retry_after_s)
    ├── StorageFull                    storage_full
    ├── FolderNotWritable              folder_not_writable
    ├── ForeignDatabase                foreign_database
    ├── ArtifactRefused                artifact_refused
    ├── BackupRefused                  backup_refused
    └── SchemaTooNew                   schema_too_new

A class's docstring is its default detail; ``code`` is stable and part of the HTTP surface. HTTP statuses
are defined only in ``app/api/problems.py``.
"""

from app.domain.errors.base import (
    FieldError,
    LookalikeError,
)
from app.domain.errors.conflicts import (
    CodesMissing,
    CollectionExists,
    CollectionInUse,
    Conflict,
    IdExists,
    JobExists,
    JobNotCancellable,
    JobNotResumable,
    KeyRevoked,
    ModelExists,
    ModelMismatch,
    ModelNotReady,
    NearDuplicateExists,
    NoPreviousModel,
    NotReencodable,
    RequestInFlight,
    TrainingNotInstalled,
)
from app.domain.errors.not_found import (
    NotFound,
    UnknownBackup,
    UnknownCollection,
    UnknownImage,
    UnknownJob,
    UnknownKey,
    UnknownModel,
)
from app.domain.errors.pictures import (
    ArchiveRefused,
    DecodeTimeout,
    EntryRefused,
    FetchFailed,
    FileDamaged,
    ImageTooLarge,
    ImageTooManyPixels,
    ImageTooManyScans,
    NotAnImage,
    NothingToImport,
    PictureDamaged,
    PictureGone,
    PictureRefused,
    UnsupportedFormat,
    UrlNotAllowed,
    WorkerDied,
)
from app.domain.errors.requests import (
    AccessDenied,
    Forbidden,
    InvalidCursor,
    InvalidFilter,
    InvalidId,
    InvalidRequest,
    PreconditionFailed,
    TextNotSupported,
    TextNotUnderstood,
    TooManyPictures,
    Unauthenticated,
)
from app.domain.errors.service import (
    ActivationPending,
    ArtifactRefused,
    BackupRefused,
    DatabaseUnavailable,
    DecoderUnavailable,
    FolderNotWritable,
    ForeignDatabase,
    IndexNotReady,
    IndexUnavailable,
    Overloaded,
    RateLimited,
    SchemaTooNew,
    Stopping,
    StorageFull,
    StorageUnavailable,
    Unavailable,
)

__all__ = [
    "AccessDenied",
    "ActivationPending",
    "ArchiveRefused",
    "ArtifactRefused",
    "BackupRefused",
    "CodesMissing",
    "CollectionExists",
    "CollectionInUse",
    "Conflict",
    "DatabaseUnavailable",
    "DecodeTimeout",
    "DecoderUnavailable",
    "EntryRefused",
    "FetchFailed",
    "FieldError",
    "FileDamaged",
    "FolderNotWritable",
    "Forbidden",
    "ForeignDatabase",
    "IdExists",
    "ImageTooLarge",
    "ImageTooManyPixels",
    "ImageTooManyScans",
    "IndexNotReady",
    "IndexUnavailable",
    "InvalidCursor",
    "InvalidFilter",
    "InvalidId",
    "InvalidRequest",
    "JobExists",
    "JobNotCancellable",
    "JobNotResumable",
    "KeyRevoked",
    "LookalikeError",
    "ModelExists",
    "ModelMismatch",
    "ModelNotReady",
    "NearDuplicateExists",
    "NoPreviousModel",
    "NotAnImage",
    "NotFound",
    "NotReencodable",
    "NothingToImport",
    "Overloaded",
    "PictureDamaged",
    "PictureGone",
    "PictureRefused",
    "PreconditionFailed",
    "RateLimited",
    "RequestInFlight",
    "SchemaTooNew",
    "Stopping",
    "StorageFull",
    "StorageUnavailable",
    "TextNotSupported",
    "TextNotUnderstood",
    "TooManyPictures",
    "TrainingNotInstalled",
    "Unauthenticated",
    "Unavailable",
    "UnknownBackup",
    "UnknownCollection",
    "UnknownImage",
    "UnknownJob",
    "UnknownKey",
    "UnknownModel",
    "UnsupportedFormat",
    "UrlNotAllowed",
    "WorkerDied",
]
