"""Map each kind of job to its handler."""

from collections.abc import Callable, Mapping
from typing import Final

from app.bootstrap import WorkerServices
from app.domain.jobs import JobKind
from app.jobs.runner import Handler
from app.worker.handlers import backup, evaluate, import_images, learn_words, reencode, train, verify

Factory = Callable[[WorkerServices], Handler | None]
"""Makes the handler of one kind of job; None if this worker cannot run it."""

FACTORIES: Final[Mapping[JobKind, Factory]] = {
    JobKind.INDEX: import_images.make,
    JobKind.REENCODE: reencode.make_handler,
    JobKind.HASH: reencode.make_handler,
    JobKind.TRAIN: train.make_handler,
    JobKind.BACKUP: backup.make_backup_handler,
    JobKind.RESTORE: backup.make_restore_handler,
    JobKind.VERIFY: verify.make_handler,
    JobKind.EVALUATE: evaluate.make_handler,
    JobKind.LEARN_WORDS: learn_words.make_handler,
}


def make_handlers(
    services: WorkerServices, factories: Mapping[JobKind, Factory] = FACTORIES
) -> dict[JobKind, Handler]:
    """Return the handlers of the kinds of jobs that this worker can run."""
    made = {kind: factory(services) for kind, factory in factories.items()}
    return {kind: handler for kind, handler in made.items() if handler is not None}
