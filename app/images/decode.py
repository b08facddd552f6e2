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
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, cast

from app.domain.errors import DecodeTimeout, NotAnImage
from app.images.decoding import WORKING_SIZE, Crop, DecodedImage, decode_in_process
from app.images.messages import ChildDied, Late, picture_of, receive_until, request_of, send_until
from app.images.sniff import Limits, sniff

__all__ = ["WORKING_SIZE", "Crop", "DecodedImage", "Decoder", "decode_in_process"]

CHILD_MEMORY_BYTES: Final = 1_500_000_000
"""Address space of a child; the interpreter and its libraries take a third of it before the first picture."""

PICTURES_PER_CHILD: Final = 5_000
"""After so many a child is replaced, so that what a library leaks does not add up."""

START_TIMEOUT_S: Final = 60.0

PIPE_BYTES: Final = 1_048_576
"""Asked for: a working picture is at most 786 kB, and each filling of a pipe costs a turn of both processes."""

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
            PictureRefused: It is no picture, damaged, or over a limit. ``DecodeTimeout`` where the child had to
                be stopped, ``NotAnImage`` where it died by itself.
        """
        # Most of what is no picture is refused here, without waiting for a child.
        sniff(content, self._limits)
        child = self._idle.get()
        try:
            if child is not None and child.is_fit:
                try:
                    return picture_of(*child.ask(content, crop))
                except ChildDied:
                    # It may have died before this picture came: a fresh child tells.
                    pass
            self._discard(child)
            child = None
            child = self._start_child()
            return picture_of(*child.ask(content, crop))
        except (ChildDied, TimeoutError) as error:
            self._discard(child)
            child = None
            if isinstance(error, TimeoutError):
                raise DecodeTimeout from None
            raise NotAnImage("the picture's decoder failed on it") from None
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
        fresh = _Child(self._limits, self._timeout_s)
        with self._lock:
            if not self._closed:
                self._all.add(fresh)
                return fresh
        fresh.end()
        raise ChildDied

    def _discard(self, child: "_Child | None") -> None:
        if child is not None:
            with self._lock:
                self._all.discard(child)
            child.end()


class _Child:
    """One decoding process and its pipes; used by one thread at a time."""

    def __init__(self, limits: Limits, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        figures = (
            CHILD_MEMORY_BYTES,
            math.ceil(timeout_s),
            limits.max_bytes,
            limits.max_pixels,
            limits.max_scans,
        )
        self._process = subprocess.Popen(  # noqa: S603 - our own module, our own figures
            [sys.executable, "-m", "app.images.decode_child", *map(str, figures)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=_PACKAGE_ROOT,
            # One thread each: a pool takes address space, and children run side by side anyway.
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        self._pipes = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        self._stdin, self._stdout = (_open_wide(pipe.fileno()) for pipe in self._pipes)
        self._left = PICTURES_PER_CHILD
        self._in_use = threading.Lock()
        try:
            receive_until(self._stdout, time.monotonic() + START_TIMEOUT_S)
        except Late:
            self._process.kill()
            raise TimeoutError from None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_fit(self) -> bool:
        """Whether it lives and has not served its time."""
        return self._left > 0 and self._process.poll() is None

    def ask(self, content: bytes, crop: Crop | None) -> tuple[dict[str, Any], bytearray]:
        """Send a picture and wait for the answer.

        Raises:
            TimeoutError: There was none in time; the child has been killed.
            ChildDied: The child died.
        """
        self._left -= 1
        deadline = time.monotonic() + self._timeout_s
        try:
            with self._in_use:
                send_until(self._stdin, deadline, *request_of(content, crop))
                return receive_until(self._stdout, deadline)
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


def _open_wide(pipe: int) -> int:
    """Have a pipe not block, and hold a whole working picture where the system allows it."""
    os.set_blocking(pipe, False)
    with suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return pipe
