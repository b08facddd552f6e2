"""Errors of pictures, archives and the places that they come from."""

from app.domain.errors.base import LookalikeError


class PictureRefused(LookalikeError):
    """The picture was refused."""

    code = "picture_refused"


class NotAnImage(PictureRefused):
    """The bytes are not a picture in a supported format, or are damaged."""

    code = "not_an_image"


class UnsupportedFormat(PictureRefused):
    """The file has a format or a sample type that this service does not decode."""

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
    """The stored file differs from the one that was added."""

    code = "picture_damaged"


class WorkerDied(PictureRefused):
    """Every worker that processed this picture died, so it was skipped."""

    code = "worker_died"


class DecodeTimeout(PictureRefused):
    """Decoding the picture took too much time or memory and was stopped."""

    code = "decode_timeout"


class ArchiveRefused(LookalikeError):
    """The archive is damaged or contains more than this service accepts."""

    code = "archive_refused"


class EntryRefused(LookalikeError):
    """The entry of the archive is not a readable file."""

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


class PictureGone(LookalikeError):
    """The collection keeps references only, or the picture's bytes can no longer be read."""

    code = "picture_gone"


class FileDamaged(PictureGone):
    """The stored file has changed since it was added; add the picture again, or restore the file."""

    code = "file_damaged"
