"""Notice that the parent process is gone, even by SIGKILL, by the end of standard input."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import Final

GRACE_S: Final = 30.0
"""Seconds that a process whose parent is gone may take to finish its work."""


def when_stdin_ends(then: Callable[[], object]) -> None:
    """Call ``then`` once the process at the other end of standard input is gone."""

    def wait() -> None:
        with contextlib.suppress(OSError, ValueError):  # a standard input that cannot be read has ended
            while os.read(sys.stdin.fileno(), 1024):
                pass
        then()
        # A process that hangs must not outlive its parent.
        late = threading.Timer(GRACE_S, os._exit, (1,))
        late.daemon = True
        late.start()

    threading.Thread(target=wait, name="stdin", daemon=True).start()
