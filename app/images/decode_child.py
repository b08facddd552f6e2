"""Runs inside a decoding child: reads pictures from standard input, writes working pictures to standard output.

Started as ``python -m app.images.decode_child MEMORY_BYTES TIMEOUT_S MAX_BYTES MAX_PIXELS MAX_SCANS``. When the
parent ends, so does it: at once while it waits for a picture, by its own alarm while it decodes one.
"""

import contextlib
import os
import resource
import signal
import sys

from app.domain.errors import DecodeTimeout, NotAnImage, PictureRefused
from app.images.decoding import decode_in_process
from app.images.messages import ChildDied, answer_of, receive, refusal_of, send
from app.images.sniff import Limits


def main() -> None:
    """Decode until the parent is done."""
    memory_bytes, timeout_s, max_bytes, max_pixels, max_scans = map(int, sys.argv[1:6])
    _confine(memory_bytes)
    limits = Limits(max_bytes=max_bytes, max_pixels=max_pixels, max_scans=max_scans)
    pipe_in, pipe_out = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # Whatever a decoder's library prints must not end up between two messages.
    os.dup2(2, 1)
    send(pipe_out, {"ready": True})
    with contextlib.suppress(ChildDied, BrokenPipeError):
        while True:
            head, content = receive(pipe_in)
            crop = None if head["crop"] is None else tuple(head["crop"])
            # The parent kills a child that is late. Should the parent be gone, the kernel does.
            signal.alarm(2 * timeout_s)
            try:
                answer = answer_of(decode_in_process(content, limits, crop))
            except PictureRefused as refused:
                answer = refusal_of(refused)
            except MemoryError:
                answer = refusal_of(DecodeTimeout("decoding the picture takes more memory than is allowed"))
            except RecursionError:
                answer = refusal_of(NotAnImage())
            signal.alarm(0)
            send(pipe_out, *answer)


def _confine(memory_bytes: int) -> None:
    """Bound what a hostile picture can take: memory, open files, no core dumps."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
