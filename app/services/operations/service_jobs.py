"""Start the jobs on the whole service: snapshots, restoring, verification."""

from app.domain.jobs import JobKind
from app.services.job_control.jobs import Jobs, JobView
from app.services.operations.backups import Backups


class ServiceJobs:
    """Starts them."""

    def __init__(self, jobs: Jobs, backups: Backups) -> None:
        """Queue with ``jobs``."""
        self._jobs = jobs
        self._backups = backups

    async def snapshot(self, *, copy_pictures: bool) -> JobView:
        """Take a snapshot; the job's id becomes its id."""
        return await self._jobs.start(JobKind.SNAPSHOT, {"copy_pictures": copy_pictures})

    async def restore(self, backup_id: str) -> JobView:
        """Put a snapshot in the place of every collection.

        Raises:
            UnknownSnapshot: There is none by that id.
            BackupRefused: It cannot be read.
            JobExists: One is being restored already.
        """
        await self._backups.manifest(backup_id)
        return await self._jobs.start(JobKind.RESTORE, {"snapshot": backup_id}, exclusive="restore")

    async def verify(self, *, repair: bool, deep: bool) -> JobView:
        """Look whether database, codes and files agree.

        Raises:
            JobExists: That is under way already.
        """
        return await self._jobs.start(JobKind.VERIFY, {"repair": repair, "deep": deep}, exclusive="verify")
