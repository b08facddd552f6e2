"""Background work of a process: every task has a name, and one that fails is started again.

What runs in the background for as long as a process lives runs in a ``Supervisor``, so that no task ends
unnoticed. A failure is logged and counted, and the task goes on after a pause that doubles with each failure in
a row.
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
"""A task that ran for so long before it failed starts again with the first pause."""

Work = Callable[[], Awaitable[object]]
Turn = Callable[[], Awaitable[float | None]]
"""One turn of a repeated task; returns the seconds until the next one, or None for the usual interval."""


class BackgroundTask:
    """One task of a supervisor, which creates and starts it."""

    def __init__(
        self, name: str, *, on_stop: Callable[[], None] | None = None, finishes_turn: bool = False
    ) -> None:
        """Prepare a task.

        Args:
            name: What it is called in logs and metrics.
            on_stop: Has the work end by itself; without it a stopped task is cancelled.
            finishes_turn: Whether the turn in hand may finish when the task is stopped.
        """
        self.name: Final = name
        self.failure: str | None = None
        """Why the last attempt failed; None once one has succeeded."""
        self.is_stopping = False
        """Whether the task was told to end."""
        self._on_stop = on_stop
        self._finishes_turn = finishes_turn
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, life: Coroutine[Any, Any, None], ended: Callable[[], object]) -> None:
        """Run one of ``until_done`` and ``repeatedly``; ``ended`` is called when the task is over."""

        def forget(_: asyncio.Task[None]) -> None:
            if self.failure is not None:
                BACKGROUND_TASKS_FAILING.labels(self.name).dec()
            ended()

        self._task = asyncio.create_task(life, name=self.name)
        self._task.add_done_callback(forget)

    def wake(self) -> None:
        """Have the next turn, or the next attempt after a failure, come now."""
        self._wake.set()

    def cancel(self) -> None:
        """End the task without waiting for it."""
        self.is_stopping = True
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """End the task, and return when it has ended."""
        self.is_stopping = True
        self.wake()
        if self._on_stop is not None:
            self._on_stop()
        elif not self._finishes_turn:
            self.cancel()
        await self.wait()

    async def wait(self) -> None:
        """Return when the task has ended."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def until_done(self, work: Work) -> None:
        """Do ``work`` until it returns."""
        pause_s = FIRST_PAUSE_S
        while True:
            started = time.monotonic()
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - the edge of a task: whatever it is, it starts again
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
        """Take ``turn`` every ``every_s`` seconds and whenever the task is woken."""
        pause_s = FIRST_PAUSE_S
        if not at_once:
            await self._pause(every_s)
        while not self.is_stopping:
            try:
                next_in_s = await turn()
            except Exception as error:  # noqa: BLE001 - the edge of a task: whatever it is, the next turn comes
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
            # What the error says may hold paths or values, and callers are shown why a task failed.
            self.failure = f"it met an error of the kind {type(error).__name__}; see the log"
            _log.error("background_task_crashed", task=self.name, again_in_s=pause_s, exc_info=error)

    def _note_success(self) -> None:
        if self.failure is not None:
            self.failure = None
            BACKGROUND_TASKS_FAILING.labels(self.name).dec()
            _log.info("background_task_recovered", task=self.name)


class Supervisor:
    """Runs the background tasks of one process."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._tasks: dict[BackgroundTask, None] = {}

    def run(self, name: str, work: Work, *, stop: Callable[[], None] | None = None) -> BackgroundTask:
        """Run ``work`` until it returns; start it again whenever it raises.

        Args:
            name: What it is called in logs and metrics.
            work: What to do.
            stop: Has ``work`` end by itself; without it the task is cancelled.
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
        """Take ``turn`` again and again, whatever it raises.

        Args:
            name: What it is called in logs and metrics.
            turn: What to do each time.
            every_s: Seconds between two turns; None for only when the task is woken.
            at_once: Whether the first turn comes now, rather than after the interval.
            finishes_turn: Whether the turn in hand may finish when the task is stopped.
        """
        task = BackgroundTask(name, finishes_turn=finishes_turn)
        return self._start(task, task.repeatedly(turn, every_s, at_once=at_once))

    async def close(self) -> None:
        """End every task, the last started first."""
        for task in reversed(list(self._tasks)):
            await task.stop()

    def _start(self, task: BackgroundTask, life: Coroutine[Any, Any, None]) -> BackgroundTask:
        self._tasks[task] = None
        task.start(life, lambda: self._tasks.pop(task, None))
        return task
