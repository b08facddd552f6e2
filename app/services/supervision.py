"""Run the named background tasks of a process, and restart those that fail.

Every task that runs as long as the process runs in a ``Supervisor``, so that none ends unnoticed. A failure is
logged and counted, and the task continues after a pause that doubles with each consecutive failure.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import structlog

from app.domain.errors import LookalikeError
from app.telemetry.metrics import BACKGROUND_FAILURES, BACKGROUND_TASKS_FAILING

_log = structlog.get_logger()

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
STEADY_S: Final = 60.0
"""Seconds after which a failing task counts as having run, so that its next pause is the first one again."""

Work = Callable[[], Awaitable[object]]
Turn = Callable[[], Awaitable[float | None]]
"""One turn of a repeated task; returns the seconds until the next turn, or None for the usual interval."""


class BackgroundTask:
    """A task that a supervisor creates and runs."""

    def __init__(
        self, name: str, *, on_stop: Callable[[], None] | None = None, finishes_turn: bool = False
    ) -> None:
        """Prepare a task.

        Args:
            name: Name in logs and metrics.
            on_stop: Tells the work to return when the task is stopped; without it, the task is cancelled.
            finishes_turn: Whether to finish the current turn when the task is stopped.
        """
        self.name: Final = name
        self.failure: str | None = None
        """Why the last attempt failed; None if it succeeded."""
        self.is_stopping = False
        """Whether the task was told to stop."""
        self._on_stop = on_stop
        self._finishes_turn = finishes_turn
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, coroutine: Coroutine[Any, Any, None], on_end: Callable[[], object]) -> None:
        """Run ``until_done`` or ``repeatedly``; call ``on_end`` when the task has ended."""

        def finish(_: asyncio.Task[None]) -> None:
            if self.failure is not None:
                BACKGROUND_TASKS_FAILING.labels(self.name).dec()
            on_end()

        self._task = asyncio.create_task(coroutine, name=self.name)
        self._task.add_done_callback(finish)

    def wake(self) -> None:
        """Start the next turn, or the next attempt after a failure, now."""
        self._wake.set()

    def cancel(self) -> None:
        """Cancel the task without waiting for its end."""
        self.is_stopping = True
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """Stop the task and wait for its end."""
        self.is_stopping = True
        self.wake()
        if self._on_stop is not None:
            self._on_stop()
        elif not self._finishes_turn:
            self.cancel()
        await self.wait()

    async def wait(self) -> None:
        """Wait for the task's end."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def until_done(self, work: Work) -> None:
        """Call ``work`` until it returns without an error."""
        pause_s = FIRST_PAUSE_S
        while True:
            started = time.monotonic()
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - retry after any error
                if time.monotonic() - started > STEADY_S:
                    pause_s = FIRST_PAUSE_S
                self._note_failure(error, pause_s)
                await self._pause(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                if self.is_stopping:
                    return
            else:
                self._note_success()
                return

    async def repeatedly(self, turn: Turn, every_s: float | None, *, at_once: bool) -> None:
        """Call ``turn`` every ``every_s`` seconds and whenever the task is woken."""
        pause_s = FIRST_PAUSE_S
        if not at_once:
            await self._pause(every_s)
        while not self.is_stopping:
            try:
                next_in_s = await turn()
            except Exception as error:  # noqa: BLE001 - continue with the next turn after any error
                self._note_failure(error, pause_s)
                await self._pause(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                self._note_success()
                pause_s = FIRST_PAUSE_S
                await self._pause(every_s if next_in_s is None else next_in_s)

    async def _pause(self, seconds: float | None) -> None:
        if not self.is_stopping:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), seconds)
        self._wake.clear()

    def _note_failure(self, error: Exception, pause_s: float) -> None:
        if self.failure is None:
            BACKGROUND_TASKS_FAILING.labels(self.name).inc()
        BACKGROUND_FAILURES.labels(self.name).inc()
        if isinstance(error, LookalikeError):
            self.failure = error.detail
            _log.warning("background_task_failed", task=self.name, detail=error.detail, again_in_s=pause_s)
        else:
            # Users see this text, and the error's message may contain paths or values.
            self.failure = f"an error of type {type(error).__name__}; see the log"
            _log.error("background_task_crashed", task=self.name, again_in_s=pause_s, exc_info=error)

    def _note_success(self) -> None:
        if self.failure is not None:
            self.failure = None
            BACKGROUND_TASKS_FAILING.labels(self.name).dec()
            _log.info("background_task_recovered", task=self.name)


class Supervisor:
    """Run the background tasks of a process."""

    def __init__(self) -> None:
        """Start without tasks."""
        self._tasks: dict[BackgroundTask, None] = {}

    def run(self, name: str, work: Work, *, stop: Callable[[], None] | None = None) -> BackgroundTask:
        """Run ``work`` until it returns; restart it whenever it raises.

        Args:
            name: Name in logs and metrics.
            work: The work.
            stop: Tells ``work`` to return when the task is stopped; without it, the task is cancelled.
        """
        task = BackgroundTask(name, on_stop=stop)
        return self._start(task, task.until_done(work))

    def repeat(
        self,
        name: str,
        turn: Turn,
        *,
        every_s: float | None,
        at_once: bool = True,
        finishes_turn: bool = False,
    ) -> BackgroundTask:
        """Call ``turn`` repeatedly, even after errors.

        Args:
            name: Name in logs and metrics.
            turn: One turn of the work.
            every_s: Seconds between two turns; None to run a turn only when the task is woken.
            at_once: Whether to start the first turn now rather than after the interval.
            finishes_turn: Whether to finish the current turn when the task is stopped.
        """
        task = BackgroundTask(name, finishes_turn=finishes_turn)
        return self._start(task, task.repeatedly(turn, every_s, at_once=at_once))

    async def close(self) -> None:
        """Stop every task, in reverse order of their start."""
        for task in reversed(list(self._tasks)):
            await task.stop()

    def _start(self, task: BackgroundTask, coroutine: Coroutine[Any, Any, None]) -> BackgroundTask:
        self._tasks[task] = None
        task.start(coroutine, lambda: self._tasks.pop(task, None))
        return task
