"""Start the jobs that concern the whole service: backup, restore, verify."""

from app.domain.jobs import JobKind
from app.services.job_control.jobs import Jobs, JobView
from app.services.operations.backups import Backups


class ServiceJobs:
    """Queues the jobs that concern the whole service."""

    def __init__(self, jobs: Jobs, backups: Backups) -> None:
        """Queue with ``jobs``."""
        self._jobs = jobs
        self._backups = backups

    async def backup(self, *, copy_pictures: bool) -> JobView:
        """Make a backup; the job's id becomes its id."""
        return await self._jobs.start(JobKind.BACKUP, {"copy_pictures": copy_pictures})

    async def restore(self, backup_id: str) -> JobView:
        """Restore a backup, replacing every collection.

        Raises:
            UnknownBackup: No backup has that id.
            BackupRefused: It cannot be read.
            JobExists: A restore is under way.
        """
        await self._backups.manifest(backup_id)
        return await self._jobs.start(JobKind.RESTORE, {"backup": backup_id}, exclusive="restore")

    async def verify(self, *, repair: bool, deep: bool) -> JobView:
        """Check that the database, the codes and the files agree.

        Raises:
            JobExists: A verification is under way.
        """
        return await self._jobs.start(JobKind.VERIFY, {"repair": repair, "deep": deep}, exclusive="verify")
