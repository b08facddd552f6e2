"""Errors of unknown names and ids."""

from app.domain.errors.base import LookalikeError


class NotFound(LookalikeError):
    """Nothing with this name exists."""

    code = "not_found"


class UnknownCollection(NotFound):
    """There is no collection with this name."""

    code = "unknown_collection"


class UnknownImage(NotFound):
    """There is no picture with this id in the collection."""

    code = "unknown_image"


class UnknownModel(NotFound):
    """There is no model with this name."""

    code = "unknown_model"


class UnknownKey(NotFound):
    """There is no key with this id."""

    code = "unknown_key"


class UnknownBackup(NotFound):
    """There is no backup with this id."""

    code = "unknown_backup"


class UnknownJob(NotFound):
    """There is no job with this id."""

    code = "unknown_job"
