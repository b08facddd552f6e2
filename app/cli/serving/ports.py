"""Bind the address that the service listens on, or find out which process prevents that."""

import contextlib
import errno
import socket
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from app.settings import Misconfigured

BACKLOG: Final = 128
"""Connections that wait to be accepted; few, because connections accepted in one go are not counted yet."""
NAME_CHARACTERS: Final = 80
"""Most characters of a command line that a sentence quotes."""
_LISTENING: Final = "0A"
"""State of a listening socket in ``/proc/net/tcp``."""
_PROC: Final = Path("/proc")


def check_address(host: str, port: int) -> None:
    """Check that the service can listen before a start that takes seconds.

    Raises:
        Misconfigured: The host is not an address of this machine, or the port is taken or not allowed.
    """
    try:
        family, address = _resolve(host, port)
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        raise _refusal(host, port, error) from error


def bind_listeners(host: str, port: int, count: int) -> list[socket.socket]:
    """Bind ``count`` sockets to one address; port 0 takes a free port for all of them.

    Raises:
        Misconfigured: As for ``check_address``.
    """
    bound: list[socket.socket] = []
    try:
        family, address = _resolve(host, port)
        for _ in range(count):
            listener = socket.socket(family, socket.SOCK_STREAM)
            bound.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if len(bound) == 1:
                # Without SO_REUSEPORT, so that a second service on the port is refused instead of getting half
                # of the connections. Only listening claims an address: SO_REUSEADDR lets two sockets bind it.
                listener.bind(address)
                listener.listen(BACKLOG)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            else:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                listener.bind(bound[0].getsockname())
    except OSError as error:
        for listener in bound:
            listener.close()
        raise _refusal(host, port, error) from error
    return bound


def _resolve(host: str, port: int) -> tuple[int, Any]:
    """Return the address family, and the address in that family's form."""
    family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    return family, address


def _refusal(host: str, port: int, error: OSError) -> "Misconfigured":
    from app.settings import Misconfigured

    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return Misconfigured("host", host, "it is not an address of this machine; name one")
    holder = listener_on(port) if error.errno == errno.EADDRINUSE else None
    reason = error.strerror if holder is None else f"{holder} listens there"
    remedy = f"the service cannot listen there ({reason}); name a free port (--port), or stop the other program"
    return Misconfigured("port", port, remedy)


def listener_on(port: int) -> str | None:
    """Return which process listens on a TCP port, as ``name, pid 123``; None where the system does not tell."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for process in _PROC.glob("[0-9]*") if sockets else ():
        with contextlib.suppress(OSError):
            if any(str(descriptor.readlink()) in sockets for descriptor in (process / "fd").iterdir()):
                words = (process / "cmdline").read_text(errors="replace").split("\0")
                name = " ".join(Path(word).name if word.startswith("/") else word for word in words).strip()
                return f"{textwrap.shorten(name, NAME_CHARACTERS, placeholder=' …')}, pid {process.name}"
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
