"""Decode pictures in child processes, so that a hang, memory growth or crash does not affect the service.

A 200 kB file can cost 20 s of CPU time. A decoding thread cannot be stopped; a process can.
"""

import fcntl
import itertools
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Final, cast

import structlog

from app.domain.errors import DecoderUnavailable, DecodeTimeout, NotAnImage, PictureRefused
from app.images.decoding import WORKING_SIZE, Crop, DecodedImage, decode_in_process
from app.images.memory_budget import MemoryBudget
from app.images.messages import (
    GRANTED,
    NEEDED,
    ChildDied,
    Late,
    Outcome,
    make_request,
    parse_answer,
    receive,
    send,
    without_traceback,
)
from app.images.sniff import Limits, sniff
from app.telemetry.metrics import (
    DECODE_CHILD_ENDS,
    DECODE_CHILD_STARTS,
    DECODE_CHILDREN,
    DECODE_CHILDREN_LIMIT,
)

__all__ = ["WORKING_SIZE", "Crop", "DecodedImage", "Decoder", "decode_in_process"]

CHILD_MEMORY_BYTES: Final = 1_000_000_000
"""Address space limit of a child; pictures of 40 megapixels take up to 650 MB of it."""

MEMORY_BYTES: Final = 900_000_000
"""Memory for large pictures that are decoded at the same time, besides some 45 MB for each child."""

PICTURES_PER_CHILD: Final = 5_000
"""A child is replaced after this many pictures, to bound memory leaks in libraries."""

CPU_S: Final = 1.0
"""Processor time after which a picture of up to 12 megapixels is refused, in seconds."""

TURN_S: Final = 0.1
"""Time after which a child answers with what it has decoded of several pictures, in seconds."""

START_TIMEOUT_S: Final = 60.0

EXIT_S: Final = 1.0
"""Longest wait for the end of a process that has closed its pipe, in seconds."""

RETRY_AFTER_S: Final = 5
"""Retry delay reported when no child could be started."""

PIPE_BYTES: Final = 1_048_576
"""Requested pipe size: a working picture has at most 786 kB, and each refill costs two context switches."""

_log = structlog.get_logger()

_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[2]


class Decoder:
    """A thread-safe pool of decoding processes; callers wait while all children are busy."""

    def __init__(
        self,
        limits: Limits,
        *,
        children: int = 2,
        timeout_s: float = 10.0,
        cpu_s: float = CPU_S,
        turn_s: float = TURN_S,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        """Create the pool; children start on first use.

        Args:
            limits: Decoding limits.
            children: Number of pictures decoded concurrently.
            timeout_s: Seconds after which a child is killed and its picture refused.
            cpu_s: Seconds of processor time after which a picture is refused; larger pictures may take up to
                five times as much (see ``decode_child``).
            turn_s: Seconds after which a child ends a turn with several pictures.
            memory_bytes: Memory for large pictures that are decoded at the same time; further ones wait.
        """
        self._memory = MemoryBudget(memory_bytes)
        self._limits = limits
        self._cpu_s = cpu_s
        self._turn_s = turn_s
        self._timeout_s = timeout_s
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(children):
            self._idle.put(None)
        self._all: set[_Child] = set()
        self._lock = threading.Lock()
        self._closed = False
        DECODE_CHILDREN_LIMIT.inc(children)
        self._children = children

    def decode(self, content: bytes, *, crop: Crop | None = None, is_query: bool = True) -> DecodedImage:
        """Decode one picture.

        Args:
            content: The file.
            crop: The part to decode, as fractions of the upright picture.
            is_query: Whether it goes before pictures of other work that wait for memory.

        Raises:
            PictureRefused: The file is not a picture, damaged, not supported, or over a limit.
                ``DecodeTimeout`` if the child had to be killed, ``NotAnImage`` if it crashed.
            DecoderUnavailable: No child could be started; the picture was not examined.
        """
        # Refuses most invalid files without waiting for a child.
        sniff(content, self._limits)
        child = self._idle.get()
        try:
            outcome = None
            if child is not None and child.is_fit:
                # The child may have died before this request; a fresh child will tell.
                with suppress(ChildDied):
                    [outcome] = child.ask([content], crop, self._memory, is_query=is_query)
            if outcome is None:
                self._discard(child, _reason_to_replace(child))
                child = None
                child = self._start_child()
                [outcome] = child.ask([content], crop, self._memory, is_query=is_query)
        except (ChildDied, TimeoutError) as error:
            self._discard(child, _reason_of(error))
            child = None
            if self._closed:
                raise DecoderUnavailable("the service is shutting down") from None
            if isinstance(error, TimeoutError):
                raise self._timeout_error() from None
            raise NotAnImage("the decoder crashed on this picture") from None
        finally:
            self._idle.put(child)
        if isinstance(outcome, PictureRefused):
            raise outcome
        return outcome

    def _timeout_error(self) -> DecodeTimeout:
        return DecodeTimeout(
            f"decoding the picture took more processor time than allowed ({self._cpu_s:g} s for up to 12 "
            f"megapixels, LOOKALIKE_DECODE_CPU_S) or more than {self._timeout_s:g} s in all "
            "(LOOKALIKE_DECODE_TIMEOUT_S); send a smaller picture, or JPEG"
        )

    def decode_some(
        self,
        contents: Sequence[bytes],
        *,
        crop: Crop | None = None,
        alone: bool = False,
        is_query: bool = False,
    ) -> list[Outcome]:
        """Decode the first of several pictures, as many as one turn allows.

        They go to a child with one request; one request per picture would cost more in context switches than
        the transfer. The child ends its turn early, so that others need not wait for all.

        Args:
            contents: The files, at least one.
            crop: The part of each to decode, as fractions of the upright picture.
            alone: Decode one picture, which finds the one that a child dies of.
            is_query: As for ``decode``.

        Returns:
            The outcomes of the first files, in order. Empty if the child died or timed out: ask again with
            ``alone``.

        Raises:
            DecoderUnavailable: No child could be started; the pictures were not examined.
        """
        if alone or len(contents) == 1:
            return [self._outcome(contents[0], crop, is_query=is_query)]
        refusals = [self._refusal(content) for content in contents]
        accepted = [content for content, refusal in zip(contents, refusals, strict=True) if refusal is None]
        decoded = iter(self._decode_together(accepted, crop, is_query=is_query) if accepted else [])
        outcomes = itertools.takewhile(
            lambda outcome: outcome is not None, (refusal or next(decoded, None) for refusal in refusals)
        )
        return [outcome for outcome in outcomes if outcome is not None]

    def _refusal(self, content: bytes) -> PictureRefused | None:
        try:
            sniff(content, self._limits)
        except PictureRefused as refused:
            return without_traceback(refused)
        return None

    def _outcome(self, content: bytes, crop: Crop | None, *, is_query: bool) -> Outcome:
        try:
            return self.decode(content, crop=crop, is_query=is_query)
        except PictureRefused as refused:
            return without_traceback(refused)

    def _decode_together(
        self, contents: Sequence[bytes], crop: Crop | None, *, is_query: bool
    ) -> list[Outcome]:
        """Return the outcomes of the first pictures, or an empty list if the child failed."""
        child = self._idle.get()
        try:
            if child is None or not child.is_fit:
                self._discard(child, _reason_to_replace(child))
                child = None
                child = self._start_child()
            return child.ask(contents, crop, self._memory, is_query=is_query)
        except (ChildDied, TimeoutError) as error:
            self._discard(child, _reason_of(error))
            child = None
            return []
        finally:
            self._idle.put(child)

    def pids(self) -> list[int]:
        """Return the process ids of the running children."""
        with self._lock:
            return sorted(child.pid for child in self._all)

    def close(self) -> None:
        """Kill all children."""
        with self._lock:
            if not self._closed:
                DECODE_CHILDREN_LIMIT.dec(self._children)
            self._closed = True
            children, self._all = self._all, set()
            DECODE_CHILDREN.dec(len(children))
        self._memory.close()
        for child in children:
            child.end()

    def _start_child(self) -> "_Child":
        """Start a child.

        Raises:
            DecoderUnavailable: The child did not start, or the decoder is closed.
        """
        fresh = _Child(self._limits, self._timeout_s, self._cpu_s, self._turn_s)
        with self._lock:
            if not self._closed:
                self._all.add(fresh)
                DECODE_CHILDREN.inc()
                DECODE_CHILD_STARTS.inc()
                return fresh
        fresh.end()
        raise DecoderUnavailable("the service is shutting down")

    def _discard(self, child: "_Child | None", reason: str) -> None:
        """Kill a child; the reason counts in the metrics unless the decoder has been closed."""
        if child is None:
            return
        with self._lock:
            if child in self._all:
                self._all.discard(child)
                DECODE_CHILDREN.dec()
                DECODE_CHILD_ENDS.labels(reason).inc()
        child.end()


def _reason_of(error: ChildDied | TimeoutError) -> str:
    return "timeout" if isinstance(error, TimeoutError) else "crash"


def _reason_to_replace(child: "_Child | None") -> str:
    return "worn" if child is not None and child.is_worn else "crash"


class _Child:
    """One decoding process and its pipes; used by one thread at a time."""

    def __init__(self, limits: Limits, timeout_s: float, cpu_s: float, turn_s: float) -> None:
        """Start the process and wait until it is ready.

        Raises:
            DecoderUnavailable: The process did not start.
        """
        self._timeout_s = timeout_s
        arguments = (
            CHILD_MEMORY_BYTES,
            math.ceil(timeout_s),
            round(cpu_s * 1e3),
            round(turn_s * 1e3),
            limits.max_bytes,
            limits.max_pixels,
            limits.max_scans,
        )
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module and numbers
                [sys.executable, "-m", "app.images.decode_child", *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                cwd=_PACKAGE_ROOT,
                # One thread each: thread pools use address space, and children run in parallel anyway.
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as error:
            raise _not_started(f"the system refused it ({error.strerror})") from error
        self._pipes = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        self._stdin, self._stdout = (_open_wide(pipe.fileno()) for pipe in self._pipes)
        self._left = PICTURES_PER_CHILD
        self._in_use = threading.Lock()
        try:
            receive(self._stdout, time.monotonic() + START_TIMEOUT_S)
        except Late:
            self.end()
            raise _not_started(f"it was not ready within {START_TIMEOUT_S:.0f} s") from None
        except ChildDied:
            self.end()
            raise _not_started("it exited at once; see the service's standard error") from None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_worn(self) -> bool:
        """Whether the process has decoded as many pictures as a child may."""
        return self._left <= 0

    @property
    def is_fit(self) -> bool:
        """Whether the process is running and may decode more pictures."""
        return not self.is_worn and self._process.poll() is None

    def ask(
        self, contents: Sequence[bytes], crop: Crop | None, memory: MemoryBudget, *, is_query: bool
    ) -> list[Outcome]:
        """Send pictures and wait for the answer.

        Before the child decodes a picture that needs much memory it asks for it, and waits until ``memory`` has
        it. The wait does not count towards the time limit.

        Raises:
            TimeoutError: The child took too much time or processor time and has been killed.
            ChildDied: The child died.
        """
        self._left -= len(contents)
        deadline = time.monotonic() + self._timeout_s
        try:
            with self._in_use, ExitStack() as held:
                send(self._stdin, deadline, *make_request(contents, crop))
                head, body = receive(self._stdout, deadline)
                while NEEDED in head:
                    # The previous picture, or attempt, no longer needs its own.
                    held.close()
                    start = time.monotonic()
                    held.enter_context(memory.take(head[NEEDED], is_query=is_query))
                    deadline += time.monotonic() - start
                    send(self._stdin, deadline, GRANTED)
                    head, body = receive(self._stdout, deadline)
                return parse_answer(head, body)
        except Late:
            self._process.kill()
            raise TimeoutError from None
        except ChildDied:
            if self._exit_status() == -signal.SIGPROF:
                raise TimeoutError from None
            raise

    def _exit_status(self) -> int | None:
        # A pipe is closed just before the process has ended.
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout=EXIT_S)
        return None

    def end(self) -> None:
        """Kill the process and close its pipes."""
        self._process.kill()
        self._process.wait()
        # Close the pipes only after a waiting thread has noticed the death: descriptors are reused.
        with self._in_use:
            for pipe in self._pipes:
                pipe.close()


def _not_started(reason: str) -> DecoderUnavailable:
    _log.error("decoder_not_started", reason=reason)
    return DecoderUnavailable(f"no decoding process could be started: {reason}", retry_after_s=RETRY_AFTER_S)


def _open_wide(pipe: int) -> int:
    """Make a pipe non-blocking, and enlarge it to hold a working picture if the system allows it."""
    os.set_blocking(pipe, False)
    with suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return pipe
