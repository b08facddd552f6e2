"""Main module of a decoding child: reads files from standard input, writes working pictures to standard output.

Started as
``python -m app.images.decode_child MEMORY_BYTES TIMEOUT_S CPU_MS TURN_MS MAX_BYTES MAX_PIXELS MAX_SCANS``.
It exits with its parent: at once while it waits for a picture, by an alarm while it decodes one. A picture that
takes more processor time than allowed ends it with ``SIGPROF``: CPU_MS, and in proportion more for a large one.
"""

import contextlib
import ctypes
import math
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from app.domain.errors import DecodeTimeout, NotAnImage, PictureRefused
from app.images.decoding import Crop, decode_in_process
from app.images.messages import (
    NEEDED,
    Bytes,
    ChildDied,
    Outcome,
    make_answer,
    parse_request,
    receive,
    send,
    without_traceback,
)
from app.images.sniff import Limits

PIXELS_PER_ALLOWANCE: Final = 12_000_000
"""Pixels that the processor time of one picture is meant for. A phone's HEIC of 48 megapixels needs 1.6 s."""

MAX_ALLOWANCES: Final = 5.0
"""Multiple of that time that the largest picture gets."""

UNASKED_BYTES: Final = 64_000_000
"""Memory that a child takes for a picture without asking."""

KEPT_BYTES: Final = 256_000_000
"""Memory of a picture up to which the heap keeps its pages for the next one."""


def main() -> None:
    """Decode pictures until the parent closes the pipe."""
    memory_bytes, timeout_s, cpu_ms, turn_ms, max_bytes, max_pixels, max_scans = map(int, sys.argv[1:8])
    _confine(memory_bytes)
    limits = Limits(max_bytes=max_bytes, max_pixels=max_pixels, max_scans=max_scans)
    pipe_in, pipe_out = 0, os.dup(1)
    # Redirect the output of libraries to standard error, so that it cannot corrupt messages.
    os.dup2(2, 1)
    send(pipe_out, math.inf, {"ready": True})
    memory = _Memory(pipe_in, pipe_out, 2 * timeout_s)
    with contextlib.suppress(ChildDied):
        while True:
            contents, crop = parse_request(*receive(pipe_in, math.inf))
            # The parent kills a child that times out; the alarm does it if the parent has died.
            signal.alarm(2 * timeout_s)
            outcomes = _outcomes(
                contents,
                limits,
                crop,
                cpu_s=cpu_ms / 1e3,
                turn_s=turn_ms / 1e3,
                on_need=memory.ask,
            )
            signal.alarm(0)
            # Before the answer, after which the parent counts the memory as free.
            memory.give_back()
            send(pipe_out, math.inf, *make_answer(outcomes))


def _outcomes(
    contents: Sequence[Bytes],
    limits: Limits,
    crop: Crop | None,
    *,
    cpu_s: float,
    turn_s: float,
    on_need: Callable[[int], None],
) -> list[Outcome]:
    """Return the outcomes of the first files, at least of one, until the turn is over."""
    end = time.monotonic() + turn_s
    outcomes: list[Outcome] = []
    for content in contents:
        # No handler: the signal must end the process within a decoder, where Python runs none.
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
        outcomes.append(_outcome(bytes(content), limits, crop, partial(_allow_more, cpu_s), on_need))
        signal.setitimer(signal.ITIMER_PROF, 0)
        if time.monotonic() > end:
            break
    return outcomes


class _Memory:
    """Asks the parent for the memory of large pictures, and returns it to the system."""

    def __init__(self, pipe_in: int, pipe_out: int, alarm_s: int) -> None:
        """Ask through the pipes; the alarm stops while the child waits, and starts again after it."""
        self._pipe_in = pipe_in
        self._pipe_out = pipe_out
        self._alarm_s = alarm_s
        self._granted = 0

    def ask(self, size: int) -> None:
        """Wait until the parent grants the memory for a picture; small ones need no permission.

        Raises:
            ChildDied: The parent closed the pipe.
        """
        if size <= UNASKED_BYTES:
            return
        self.give_back()
        signal.alarm(0)
        send(self._pipe_out, math.inf, {NEEDED: size})
        receive(self._pipe_in, math.inf)
        signal.alarm(self._alarm_s)
        self._granted = size

    def give_back(self) -> None:
        """Return freed memory to the system after a very large picture; glibc would keep up to 180 MB of it."""
        if self._granted > KEPT_BYTES:
            with contextlib.suppress(AttributeError, OSError):  # another C library
                ctypes.CDLL(None).malloc_trim(0)
        self._granted = 0


def _allow_more(cpu_s: float, pixels: int) -> None:
    """Restart the timer of a picture with the time for its size."""
    signal.setitimer(signal.ITIMER_PROF, cpu_s * allowances_of(pixels))


def allowances_of(pixels: int) -> float:
    """Return the multiple of the processor time that a picture of that many pixels may take."""
    return min(MAX_ALLOWANCES, max(1.0, pixels / PIXELS_PER_ALLOWANCE))


def _outcome(
    content: bytes,
    limits: Limits,
    crop: Crop | None,
    on_size: Callable[[int], None],
    on_need: Callable[[int], None],
) -> Outcome:
    try:
        return decode_in_process(content, limits, crop, on_size=on_size, on_need=on_need)
    except PictureRefused as refused:
        return without_traceback(refused)
    except MemoryError:
        allowed = resource.getrlimit(resource.RLIMIT_AS)[0] / 1e9
        return DecodeTimeout(
            f"decoding the picture needs more memory than a decoding process may use ({allowed:g} GB); "
            "send a smaller picture, or JPEG"
        )
    except RecursionError:
        return NotAnImage()
    except BaseException as error:
        # The exception of a panicking Rust plugin is not a subclass of Exception.
        if type(error).__name__ != "PanicException":
            raise
        return NotAnImage("the decoder crashed on this picture")


def _confine(memory_bytes: int) -> None:
    """Limit the resources that a hostile picture can use: memory, open files, core dumps."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
