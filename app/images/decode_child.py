"""Runs inside a decoding child: reads pictures from standard input, writes working pictures to standard output.

Started as ``python -m app.images.decode_child MEMORY_BYTES TIMEOUT_S MAX_BYTES MAX_PIXELS MAX_SCANS``. When the
parent ends, so does it: at once while it waits for a picture, by its own alarm while it decodes one.
"""

import contextlib
import math
import os
import resource
import signal
import sys

from app.domain.errors import DecodeTimeout, NotAnImage, PictureRefused
from app.images.decoding import Crop, decode_in_process
from app.images.messages import ChildDied, Outcome, answer_of, asked_for, receive, send
from app.images.sniff import Limits


def main() -> None:
    """Decode until the parent is done."""
    memory_bytes, timeout_s, max_bytes, max_pixels, max_scans = map(int, sys.argv[1:6])
    _confine(memory_bytes)
    limits = Limits(max_bytes=max_bytes, max_pixels=max_pixels, max_scans=max_scans)
    pipe_in, pipe_out = 0, os.dup(1)
    # Whatever a decoder's library prints must not end up between two messages.
    os.dup2(2, 1)
    send(pipe_out, math.inf, {"ready": True})
    with contextlib.suppress(ChildDied):
        while True:
            contents, crop = asked_for(*receive(pipe_in, math.inf))
            # The parent kills a child that is late. Should the parent be gone, the kernel does.
            signal.alarm(2 * timeout_s)
            outcomes = [_outcome(bytes(content), limits, crop) for content in contents]
            signal.alarm(0)
            send(pipe_out, math.inf, *answer_of(outcomes))


def _outcome(content: bytes, limits: Limits, crop: Crop | None) -> Outcome:
    try:
        return decode_in_process(content, limits, crop)
    except PictureRefused as refused:
        return refused
    except MemoryError:
        return DecodeTimeout("decoding the picture takes more memory than is allowed")
    except RecursionError:
        return NotAnImage()
    except BaseException as error:
        # What a plugin written in Rust raises where its code panics is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        return NotAnImage("the picture's decoder failed on it")


def _confine(memory_bytes: int) -> None:
    """Bound what a hostile picture can take: memory, open files, no core dumps."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
