"""Jobs and workers."""

from pydantic import Field

from app.settings.base import CommaSeparated, SettingsGroup


class JobsSettings(SettingsGroup):
    """Jobs and workers."""

    job_lease_s: float = Field(default=10.0, gt=0)
    """Lease length in seconds; when a worker dies or hangs, another takes over afterwards."""
    job_poll_s: float = Field(default=0.5, gt=0)
    """Interval at which an idle worker looks for work, in seconds."""
    job_batch_deadline_s: float = Field(default=300.0, gt=0)
    """Time limit for one batch of a job before it is retried, in seconds."""
    job_retention_days: float = Field(default=30.0, gt=0)
    """How long finished jobs are listed, in days."""
    learn_words_interval_s: float = Field(default=0.0, ge=0)
    """Interval at which words are learned again in collections whose pictures have changed, in seconds; 0 for
    never."""
    learn_words_keys: CommaSeparated = []
    """Metadata keys to learn words from in collections where no job has learned any."""
    worker_nice: int = Field(default=10, ge=0, le=19)
    """Nice value of a worker; it yields to processes in its session or container."""
