"""What a worker can do: the one place where each kind of job finds its handler."""

from collections.abc import Callable, Mapping
from typing import Final

from app.bootstrap import WorkerServices
from app.domain.jobs import JobKind
from app.jobs.runner import Handler
from app.worker.handlers import backup, evaluate, import_images, reencode, train, verify

Factory = Callable[[WorkerServices], Handler | None]
"""Makes the handler of one kind of job; None where this worker lacks what it takes."""

FACTORIES: Final[Mapping[JobKind, Factory]] = {
    JobKind.INDEX: import_images.make,
    JobKind.REENCODE: reencode.make_handler,
    JobKind.TRAIN: train.make_handler,
    JobKind.BACKUP: backup.make_backup_handler,
    JobKind.RESTORE: backup.make_restore_handler,
    JobKind.VERIFY: verify.make_handler,
    JobKind.EVALUATE: evaluate.make_handler,
}


def make_handlers(
    services: WorkerServices, factories: Mapping[JobKind, Factory] = FACTORIES
) -> dict[JobKind, Handler]:
    """The handlers of the kinds of jobs that this worker can do."""
    made = {kind: factory(services) for kind, factory in factories.items()}
    return {kind: handler for kind, handler in made.items() if handler is not None}
