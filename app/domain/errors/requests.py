"""Errors of requests: invalid, not allowed, or too expensive."""

from app.domain.errors.base import LookalikeError


class InvalidRequest(LookalikeError):
    """The request is not valid."""

    code = "validation_failed"


class InvalidId(InvalidRequest):
    """An id has 1 to 255 characters from A-Z a-z 0-9 _ . : @ + - and does not start with a dot or hyphen."""


class InvalidFilter(InvalidRequest):
    """The filter is not valid."""


class InvalidCursor(InvalidRequest):
    """The cursor was not issued by this service."""


class TextNotUnderstood(LookalikeError):
    """A word of the query is not understood."""

    code = "text_not_understood"


class TextNotSupported(LookalikeError):
    """The collection's model cannot be searched by words."""

    code = "text_not_supported"


class TooManyPictures(LookalikeError):
    """The collection has too many pictures to answer this request in a reasonable time."""

    code = "too_many_pictures"


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
