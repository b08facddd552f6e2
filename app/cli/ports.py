"""Find out whether the service can listen on an address, and which process listens there."""

import contextlib
import errno
import socket
from pathlib import Path
from typing import Final

_LISTENING: Final = "0A"
"""State of a listening socket in ``/proc/net/tcp``."""
_PROC: Final = Path("/proc")


def check_address(host: str, port: int) -> None:
    """Check that the service can listen before a start that takes seconds.

    Raises:
        Misconfigured: The host is not an address of this machine, or the port is taken or not allowed.
    """
    from app.settings import Misconfigured

    try:
        family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise Misconfigured("host", host, "it is not an address of this machine; name one") from error
        holder = listener_on(port) if error.errno == errno.EADDRINUSE else None
        reason = error.strerror if holder is None else f"{holder} listens there"
        remedy = f"the service cannot listen there ({reason}); name a free port (--port), or end what uses it"
        raise Misconfigured("port", port, remedy) from error


def listener_on(port: int) -> str | None:
    """Return which process listens on a TCP port, as ``name, pid 123``; None where the system does not tell."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for process in _PROC.glob("[0-9]*") if sockets else ():
        with contextlib.suppress(OSError):
            if any(str(descriptor.readlink()) in sockets for descriptor in (process / "fd").iterdir()):
                words = (process / "cmdline").read_text().split("\0")
                name = " ".join(Path(word).name if word.startswith("/") else word for word in words[:4]).strip()
                return f"{name}, pid {process.name}"
    return None


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == _LISTENING and int(words[1].rpartition(":")[2], 16) == port:
                    found.add(words[9])
    return found
