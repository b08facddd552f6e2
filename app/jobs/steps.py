"""Count the steps of a job that starts over after a kill or a pause."""

from app.jobs.leases import HeldPart


class RepeatedSteps:
    """Counts steps of a part without a state to continue from; steps of earlier attempts count once."""

    def __init__(self, part: HeldPart) -> None:
        """Count the steps of ``part``, in its checkpoint."""
        self._part = part
        self._reached = 0

    async def add(self, steps: int, total: int | None, phase: str) -> None:
        """Record that more steps of this attempt are done.

        Args:
            steps: Number of steps.
            total: Number of steps of the whole job; None if unknown.
            phase: Phase of the job.

        Raises:
            LeaseLost: As for ``HeldPart.batch``, whose other errors are raised too.
        """
        self._reached += steps
        before = self._part.checkpoint.get("reached", 0)
        most = max(before, self._reached)
        async with self._part.batch() as batch:
            batch.save(
                {"reached": most},
                done=most - before,
                # An earlier attempt may have found more pictures.
                total=None if total is None else max(total, most),
                phase=phase,
                # Otherwise a part that kills each worker at the same step would be tried for ever.
                is_progress=most > before,
            )
