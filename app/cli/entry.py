"""Entry point of the ``lookalike`` program; ends without a traceback on Ctrl-C during its imports."""

import os
import signal
from typing import NoReturn


def main() -> None:
    """Import the command and run it.

    Importing takes a few tenths of a second. ``KeyboardInterrupt`` would print a traceback of the imports, or a
    half-imported module would turn it into another error.
    """
    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_default:
        signal.signal(signal.SIGINT, _interrupted)
    from app.cli.main import main as run

    if is_default:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run()
    except KeyboardInterrupt:
        # Typer answers to this exception only while a command runs, not while it prepares the command.
        _interrupted()


def _interrupted(*_: object) -> NoReturn:
    os.write(2, b"lookalike: interrupted before the command began\n")
    os._exit(130)


if __name__ == "__main__":
    main()
