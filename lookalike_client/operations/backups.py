"""Back up, verify and restore the service; export collections."""

from lookalike_client.answers.backups import BackupList, ExportedPicture
from lookalike_client.answers.jobs import Job
from lookalike_client.calls import Call, Repeat, Streaming, answer, as_text, given, nothing, once, path
from lookalike_client.streams import ExportedPictures


def start_backup(*, copy_pictures: bool | None = None, idempotency_key: str | None = None) -> Call[Job]:
    """Have a job back up the service.

    Args:
        copy_pictures: True copies the pictures and the files of models too.
        idempotency_key: Repetitions with the same key are executed once. A random key if None.
    """
    body = given(copy_pictures=copy_pictures)
    return Call("POST", "/admin/jobs/backup", answer(Job), json=body, headers=once(idempotency_key))


def start_verification(
    *, repair: bool | None = None, deep: bool | None = None, idempotency_key: str | None = None
) -> Call[Job]:
    """Have a job verify that pictures, codes and files belong together.

    Args:
        repair: True encodes pictures that lack a code, and deletes codes of no picture.
        deep: True reads every file and compares its SHA-256.
        idempotency_key: Repetitions with the same key are executed once. A random key if None.
    """
    body = given(repair=repair, deep=deep)
    return Call("POST", "/admin/jobs/verify", answer(Job), json=body, headers=once(idempotency_key))


def list_backups() -> Call[BackupList]:
    """Return the backups, newest first."""
    return Call("GET", "/admin/backups", answer(BackupList))


def delete_backup(backup: str) -> Call[None]:
    """Delete a backup by its id."""
    return Call("DELETE", path("admin", "backups", backup), nothing, repeat=Repeat.IF_REFUSED)


def start_restore(backup: str, *, idempotency_key: str | None = None) -> Call[Job]:
    """Have a job replace every collection by the backup's.

    Args:
        backup: Id of the backup.
        idempotency_key: Repetitions with the same key are executed once. A random key if None.
    """
    body = given(backup=backup)
    return Call("POST", "/admin/restore", answer(Job), json=body, headers=once(idempotency_key))


def export_collection(*, collection: str | None = None) -> Streaming[ExportedPicture]:
    """Yield every picture of a collection with metadata and code, in insertion order."""
    return Streaming(
        Call("GET", "/export", nothing, params=as_text(given(collection=collection))), ExportedPictures
    )
