"""Exit codes of the command, and the one line that it prints for an expected error."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes; docs/commands.md lists them."""

    OK = 0
    ITEMS_FAILED = 1
    """The command ran, but some items failed or ``doctor`` found an error."""
    USAGE = 2
    """The command line or a setting is wrong."""
    UNAVAILABLE = 3
    """The service or the database does not answer, or not now."""
    REFUSED = 4
    """The service refused the request, or what it names does not exist."""
    INTERRUPTED = 130
    """Ctrl-C, by the convention of shells: 128 and the number of SIGINT."""


def explain(error: Exception) -> tuple[str, ExitCode] | None:
    """Return a line for an expected error and the exit code of the command; None for a defect."""
    from app.cli.terminal.queries import PictureNotRead
    from app.domain import errors
    from app.settings import Misconfigured
    from lookalike_client import ServiceError

    sentence = str(error).rstrip(".")
    setting = _setting_at_fault(error, sentence)
    if setting is not None:
        is_down = isinstance(error, errors.DatabaseUnavailable)
        return setting, ExitCode.UNAVAILABLE if is_down else ExitCode.USAGE
    if isinstance(error, ServiceError):
        parts = "; ".join(f"{part.pointer}: {part.detail}" for part in error.errors)
        sentence = f"{sentence} {parts}".strip()
        is_unavailable = error.status in {0, 429} or error.status >= 500
    elif isinstance(error, (errors.LookalikeError, PictureNotRead)):
        is_unavailable = isinstance(error, (errors.Unavailable, errors.RateLimited, errors.StorageFull))
    else:
        return (sentence, ExitCode.USAGE) if isinstance(error, Misconfigured) else None
    return sentence, ExitCode.UNAVAILABLE if is_unavailable else ExitCode.REFUSED


def _setting_at_fault(error: Exception, sentence: str) -> str | None:
    """Return a line that names the setting behind an error of the start; None for other errors."""
    from app.domain import errors
    from app.settings import Misconfigured, Settings

    # Only startup raises UnknownModel: the service itself answers for models that commands name.
    if isinstance(error, errors.UnknownModel):
        model = Settings().models.default_model
        remedy = "name a shipped model, or one trained here"
        return str(Misconfigured("default_model", model, f"{sentence}; {remedy}"))
    for kind, remedy in (
        (errors.DatabaseUnavailable, "start the database, or name another"),
        (errors.ForeignDatabase, "name an empty database, or one of Lookalike"),
        (errors.SchemaTooNew, "upgrade Lookalike, or name another database"),
    ):
        if isinstance(error, kind):
            return str(Misconfigured("database_url", Settings().resolved_database_url, f"{sentence}; {remedy}"))
    return None
