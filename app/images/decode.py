"""A guarded decoder: pictures are decoded in child processes, which may hang, swell or die without harm.

A decoding thread cannot be stopped, and a 200 kB file can cost 20 s of CPU inside it; a process can.
"""

import fcntl
import math
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, cast

import structlog

from app.domain.errors import DecoderUnavailable, DecodeTimeout, NotAnImage, PictureRefused
from app.images.decoding import WORKING_SIZE, Crop, DecodedImage, decode_in_process
from app.images.messages import ChildDied, Late, Outcome, outcomes_of, receive, request_of, send
from app.images.sniff import Limits, sniff

__all__ = ["WORKING_SIZE", "Crop", "DecodedImage", "Decoder", "decode_in_process"]

CHILD_MEMORY_BYTES: Final = 1_500_000_000
"""Address space of a child; the interpreter and its libraries take a third of it before the first picture."""

PICTURES_PER_CHILD: Final = 5_000
"""After so many a child is replaced, so that what a library leaks does not add up."""

START_TIMEOUT_S: Final = 60.0

RETRY_AFTER_S: Final = 5
"""Where no child could be started: what keeps it from starting seldom passes at once."""

PIPE_BYTES: Final = 1_048_576
"""Asked for: a working picture is at most 786 kB, and each filling of a pipe costs a turn of both processes."""

_log = structlog.get_logger()

_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[2]


class Decoder:
    """Decodes from any number of threads, as many at a time as it has children; others wait their turn."""

    def __init__(self, limits: Limits, *, children: int = 2, timeout_s: float = 10.0) -> None:
        """Children start when they are first needed.

        Args:
            limits: What is decoded at most.
            children: Pictures decoded at a time.
            timeout_s: Time after which a child is killed and its picture refused, in seconds.
        """
        self._limits = limits
        self._timeout_s = timeout_s
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(children):
            self._idle.put(None)
        self._all: set[_Child] = set()
        self._lock = threading.Lock()
        self._closed = False

    def decode(self, content: bytes, *, crop: Crop | None = None) -> DecodedImage:
        """Decode one picture.

        Args:
            content: The file.
            crop: The part to decode, as fractions of the upright picture.

        Raises:
            PictureRefused: It is no picture, damaged, not supported, or over a limit. ``DecodeTimeout`` where
                the child had to be stopped, ``NotAnImage`` where it died by itself.
            DecoderUnavailable: No child could be started: nothing is known of the picture.
        """
        # Most of what is no picture is refused here, without waiting for a child.
        sniff(content, self._limits)
        child = self._idle.get()
        try:
            outcome = None
            if child is not None and child.is_fit:
                # It may have died before this picture came: a fresh child tells.
                with suppress(ChildDied):
                    [outcome] = child.ask([content], crop)
            if outcome is None:
                self._discard(child)
                child = None
                child = self._start_child()
                [outcome] = child.ask([content], crop)
        except (ChildDied, TimeoutError) as error:
            self._discard(child)
            child = None
            if self._closed:
                raise DecoderUnavailable("the service is shutting down") from None
            if isinstance(error, TimeoutError):
                raise DecodeTimeout from None
            raise NotAnImage("the picture's decoder failed on it") from None
        finally:
            self._idle.put(child)
        if isinstance(outcome, PictureRefused):
            raise outcome
        return outcome

    def decode_many(self, contents: Sequence[bytes], *, crop: Crop | None = None) -> Iterator[Outcome]:
        """Decode pictures by one child, to which they go together.

        A turn of two processes for each of them costs more than the pipe. Where the child dies or is late,
        every picture gets a turn of its own, and the one that is to blame is refused.

        Args:
            contents: The files.
            crop: The part of each to decode, as fractions of the upright picture.

        Yields:
            What becomes of each, in their order.

        Raises:
            DecoderUnavailable: No child could be started: nothing is known of the pictures that are left.
        """
        if len(contents) == 1:
            yield self._outcome(contents[0], crop)
            return
        refusals = [self._refusal(content) for content in contents]
        together = [content for content, refusal in zip(contents, refusals, strict=True) if refusal is None]
        outcomes = iter(self._ask_together(together, crop) if together else [])
        for content, refusal in zip(contents, refusals, strict=True):
            yield refusal or next(outcomes, None) or self._outcome(content, crop)

    def _refusal(self, content: bytes) -> PictureRefused | None:
        try:
            sniff(content, self._limits)
        except PictureRefused as refused:
            return refused
        return None

    def _outcome(self, content: bytes, crop: Crop | None) -> Outcome:
        try:
            return self.decode(content, crop=crop)
        except PictureRefused as refused:
            return refused

    def _ask_together(self, contents: Sequence[bytes], crop: Crop | None) -> list[Outcome]:
        """What becomes of each picture; nothing where the child has failed on one of them."""
        child = self._idle.get()
        try:
            if child is None or not child.is_fit:
                self._discard(child)
                child = None
                child = self._start_child()
            return child.ask(contents, crop)
        except (ChildDied, TimeoutError):
            self._discard(child)
            child = None
            return []
        finally:
            self._idle.put(child)

    def pids(self) -> list[int]:
        """Process ids of the children that run."""
        with self._lock:
            return sorted(child.pid for child in self._all)

    def close(self) -> None:
        """End every child."""
        with self._lock:
            self._closed = True
            children, self._all = self._all, set()
        for child in children:
            child.end()

    def _start_child(self) -> "_Child":
        """Start a child.

        Raises:
            DecoderUnavailable: It did not start, or the decoder is closed.
        """
        fresh = _Child(self._limits, self._timeout_s)
        with self._lock:
            if not self._closed:
                self._all.add(fresh)
                return fresh
        fresh.end()
        raise DecoderUnavailable("the service is shutting down")

    def _discard(self, child: "_Child | None") -> None:
        if child is not None:
            with self._lock:
                self._all.discard(child)
            child.end()


class _Child:
    """One decoding process and its pipes; used by one thread at a time."""

    def __init__(self, limits: Limits, timeout_s: float) -> None:
        """Start it and wait until it is ready.

        Raises:
            DecoderUnavailable: It did not start.
        """
        self._timeout_s = timeout_s
        figures = (
            CHILD_MEMORY_BYTES,
            math.ceil(timeout_s),
            limits.max_bytes,
            limits.max_pixels,
            limits.max_scans,
        )
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, our own figures
                [sys.executable, "-m", "app.images.decode_child", *map(str, figures)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                cwd=_PACKAGE_ROOT,
                # One thread each: a pool takes address space, and children run side by side anyway.
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as error:
            raise _unstarted(f"the system refused it ({error.strerror})") from error
        self._pipes = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        self._stdin, self._stdout = (_open_wide(pipe.fileno()) for pipe in self._pipes)
        self._left = PICTURES_PER_CHILD
        self._in_use = threading.Lock()
        try:
            receive(self._stdout, time.monotonic() + START_TIMEOUT_S)
        except Late:
            self.end()
            raise _unstarted(f"it was not ready within {START_TIMEOUT_S:.0f} s") from None
        except ChildDied:
            self.end()
            raise _unstarted("it ended at once, with its reason in the service's standard error") from None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_fit(self) -> bool:
        """Whether it lives and has not served its time."""
        return self._left > 0 and self._process.poll() is None

    def ask(self, contents: Sequence[bytes], crop: Crop | None) -> list[Outcome]:
        """Send pictures and wait for the answer.

        Raises:
            TimeoutError: There was none in time; the child has been killed.
            ChildDied: The child died.
        """
        self._left -= len(contents)
        deadline = time.monotonic() + self._timeout_s
        try:
            with self._in_use:
                send(self._stdin, deadline, *request_of(contents, crop))
                return outcomes_of(*receive(self._stdout, deadline))
        except Late:
            self._process.kill()
            raise TimeoutError from None

    def end(self) -> None:
        """Kill the process and close its pipes."""
        self._process.kill()
        self._process.wait()
        # Whoever waits for it notices that it is dead; its pipes' numbers must not be another's before that.
        with self._in_use:
            for pipe in self._pipes:
                pipe.close()


def _unstarted(reason: str) -> DecoderUnavailable:
    _log.error("decoder_not_started", reason=reason)
    return DecoderUnavailable(f"no decoding process could be started: {reason}", retry_after_s=RETRY_AFTER_S)


def _open_wide(pipe: int) -> int:
    """Have a pipe not block, and hold a whole working picture where the system allows it."""
    os.set_blocking(pipe, False)
    with suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return pipe
