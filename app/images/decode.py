"""A guarded decoder: pictures are decoded in child processes, which may hang, swell or die without harm.

A decoding thread cannot be stopped, and a 200 kB file can cost 20 s of CPU inside it; a process can.
"""

import math
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final, cast

from app.domain.errors import DecodeTimeout, NotAnImage
from app.images.decoding import WORKING_SIZE, Crop, DecodedImage, decode_in_process
from app.images.messages import ChildDied, picture_of, receive, request_of, send
from app.images.sniff import Limits, sniff

__all__ = ["WORKING_SIZE", "Crop", "DecodedImage", "Decoder", "decode_in_process"]

CHILD_MEMORY_BYTES: Final = 1_500_000_000
"""Address space of a child; the interpreter and its libraries take a third of it before the first picture."""

PICTURES_PER_CHILD: Final = 5_000
"""After so many a child is replaced, so that what a library leaks does not add up."""

START_TIMEOUT_S: Final = 60.0

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
            cwd=_PACKAGE_ROOT,
            # One thread each: a pool takes address space, and children run side by side anyway.
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        self._stdin = cast(IO[bytes], self._process.stdin)
        self._stdout = cast(IO[bytes], self._process.stdout)
        self._left = PICTURES_PER_CHILD
        with self._killed_after(START_TIMEOUT_S):
            receive(self._stdout)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_fit(self) -> bool:
        """Whether it lives and has not served its time."""
        return self._left > 0 and self._process.poll() is None

    def ask(self, content: bytes, crop: Crop | None) -> tuple[dict[str, Any], bytes]:
        """Send a picture and wait for the answer.

        Raises:
            TimeoutError: There was none in time; the child has been killed.
            ChildDied: The child died.
        """
        self._left -= 1
        with self._killed_after(self._timeout_s):
            send(self._stdin, *request_of(content, crop))
            return receive(self._stdout)

    @contextmanager
    def _killed_after(self, timeout_s: float) -> Iterator[None]:
        """Kill the process after a time, which ends whatever waits on its pipes."""
        late = threading.Event()

        def kill() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(timeout_s, kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (ChildDied, OSError) as error:
            if late.is_set():
                raise TimeoutError from error
            raise ChildDied from error
        finally:
            timer.cancel()

    def end(self) -> None:
        """Kill the process and close its pipes."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._stdin, self._stdout):
            # What a dead child never read is still buffered, and closing tries to write it.
            with suppress(OSError):
                pipe.close()
