"""Errors of requests that conflict with stored data."""

from app.domain.errors.base import LookalikeError


class Conflict(LookalikeError):
    """The request conflicts with stored data."""

    code = "conflict"


class IdExists(Conflict):
    """A picture with this id already exists."""

    code = "id_exists"


class CollectionExists(Conflict):
    """A collection with this name already exists."""

    code = "collection_exists"


class CollectionInUse(Conflict):
    """The collection cannot be deleted."""

    code = "collection_in_use"


class ModelMismatch(Conflict):
    """The code or cursor belongs to another model than the collection's."""

    code = "model_mismatch"


class ModelExists(Conflict):
    """A model with this name, or one that produces the same codes, already exists."""

    code = "model_exists"


class NearDuplicateExists(Conflict):
    """A copy of the picture is stored under another id."""

    code = "near_duplicate_exists"


class CodesMissing(Conflict):
    """Some pictures of the collection have no code under the model yet."""

    code = "codes_missing"


class ModelNotReady(Conflict):
    """A process of this service cannot serve the model."""

    code = "model_not_ready"


class NoPreviousModel(Conflict):
    """The collection has no previous model to roll back to."""

    code = "no_previous_model"


class NotReencodable(Conflict):
    """The collection keeps references only, and this service may not read referenced pictures."""

    code = "not_reencodable"


class TrainingNotInstalled(Conflict):
    """No worker has the packages for training: run `make train-deps`, then restart the worker."""

    code = "training_not_installed"


class JobExists(Conflict):
    """A job like this one is already in progress."""

    code = "job_exists"


class JobNotCancellable(Conflict):
    """The job has ended."""

    code = "job_not_cancellable"


class JobNotResumable(Conflict):
    """The job is not in a state that allows this."""

    code = "job_not_resumable"


class RequestInFlight(Conflict):
    """A request with this idempotency key is still in progress."""

    code = "request_in_flight"


class KeyRevoked(Conflict):
    """The key is revoked."""

    code = "key_revoked"
