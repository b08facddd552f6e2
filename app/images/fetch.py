"""Fetch pictures by URL, with protection against server-side request forgery.

A host name may resolve to any address, and to another one a moment later. So the fetcher resolves a name once,
checks the addresses, and connects to the checked address. It repeats this for every redirect.
"""

import asyncio
import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import SplitResult, urljoin, urlsplit

from app.domain.errors import FetchFailed, ImageTooLarge, UrlNotAllowed
from app.images.addresses import Address, is_public

MAX_REDIRECTS: Final = 5
THREADS: Final = 8
MAX_URL: Final = 2_048
_CHUNK: Final = 65_536
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PORTS: Final = {"http": 80, "https": 443}
ANY_HOST: Final = "*"


@dataclass(frozen=True, slots=True)
class _Target:
    scheme: str
    host: str
    port: int
    path: str
    address: Address


class Fetcher:
    """Fetches files from allowed hosts at public addresses, with limits on time and size."""

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        timeout_s: float,
        may_connect: Callable[[Address], bool] = is_public,
        resolve: Callable[..., Sequence[tuple[object, ...]]] = socket.getaddrinfo,
    ) -> None:
        """Allow ``hosts``.

        Args:
            hosts: Host names, with a port unless it is the scheme's default; ``*`` allows any public host.
            timeout_s: Time limit of a fetch, including redirects, in seconds.
            may_connect: Returns whether an address is allowed.
            resolve: Resolves names; same interface as ``socket.getaddrinfo``.
        """
        self._hosts = frozenset(host.lower() for host in hosts)
        self._timeout_s = timeout_s
        self._may_connect = may_connect
        self._resolve = resolve
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch")
        self._resolvers = ThreadPoolExecutor(THREADS, thread_name_prefix="resolve")

    def close(self) -> None:
        """Shut down the threads; running fetches end by their deadline."""
        for threads in (self._threads, self._resolvers):
            threads.shutdown(wait=False, cancel_futures=True)

    async def fetch(self, url: str, max_bytes: int) -> bytes:
        """Fetch ``url`` in the fetcher's thread pool, so that slow hosts do not block other work.

        Raises:
            UrlNotAllowed: The host, port, scheme or address is not allowed, or that of a redirect.
            FetchFailed: The host did not return a file in time.
            ImageTooLarge: The file has more than ``max_bytes`` bytes.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self.fetch_blocking, url, max_bytes)

    def fetch_blocking(self, url: str, max_bytes: int) -> bytes:
        """Fetch ``url`` in the calling thread.

        Raises:
            UrlNotAllowed: The host, port, scheme or address is not allowed, or that of a redirect.
            FetchFailed: The host did not return a file in time.
            ImageTooLarge: The file has more than ``max_bytes`` bytes.
        """
        deadline = time.monotonic() + self._timeout_s
        for _ in range(MAX_REDIRECTS + 1):
            target = self._check(url, deadline)
            try:
                answer = _get(target, deadline, max_bytes)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise FetchFailed(f"{target.host} did not return a file in time") from error
            if isinstance(answer, bytes):
                return answer
            url = urljoin(url, answer)
        raise FetchFailed("too many redirects")

    def _check(self, url: str, deadline: float) -> _Target:
        parts = _split(url)
        host = (parts.hostname or "").lower().rstrip(".")
        port = parts.port or _PORTS[parts.scheme]
        named = {host, f"{host}:{port}"}
        if port == _PORTS[parts.scheme]:
            is_listed = bool(named & self._hosts) or ANY_HOST in self._hosts
        else:
            is_listed = f"{host}:{port}" in self._hosts
        if not is_listed:
            raise UrlNotAllowed(
                f"pictures are not fetched from {host}:{port}; LOOKALIKE_FETCH_HOSTS allows hosts"
            )
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return _Target(parts.scheme, host, port, path, self._address(host, port, deadline))

    def _address(self, host: str, port: int, deadline: float) -> Address:
        try:
            # In another thread, because a look-up has no timeout.
            lookup = self._resolvers.submit(self._resolve, host, port, type=socket.SOCK_STREAM)
            found = lookup.result(timeout=_seconds_until(deadline))
        except TimeoutError as error:
            raise FetchFailed(f"the address of {host} was not resolved in time") from error
        except (OSError, UnicodeError) as error:
            raise FetchFailed(f"{host} has no address") from error
        addresses = [ipaddress.ip_address(str(entry[4][0])) for entry in found]  # type: ignore[index]
        # Check all of them: a name that also resolves to a private address is not trustworthy.
        if not addresses or not all(self._may_connect(address) for address in addresses):
            raise UrlNotAllowed(f"{host} is not at a public address")
        return addresses[0]


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_valid = (
            len(url) <= MAX_URL
            and url.isascii()
            and not any(c <= " " or c in "\\\x7f" for c in url)
            and parts.scheme in _PORTS
            and bool(parts.hostname)
            and parts.username is None
            and parts.password is None
            and parts.port != 0
        )
    except ValueError:
        is_valid = False
    if not is_valid:
        raise UrlNotAllowed("the address is not a plain http or https URL")
    return parts


def _get(target: _Target, deadline: float, max_bytes: int) -> bytes | str:
    """Return the file as bytes, or the target of a redirect as text."""
    connection = _Pinned(target, deadline)
    try:
        connection.request("GET", target.path, headers={"Accept": "image/*", "Accept-Encoding": "identity"})
        answer = connection.getresponse()
        if answer.status in _REDIRECTS:
            return answer.getheader("Location") or ""
        if answer.status != 200:
            raise FetchFailed(f"{target.host} answered with status {answer.status}")
        return _read(answer, max_bytes)
    finally:
        connection.close()


def _read(answer: http.client.HTTPResponse, max_bytes: int) -> bytes:
    content = bytearray()
    while chunk := answer.read1(_CHUNK):
        content += chunk
        if len(content) > max_bytes:
            raise ImageTooLarge(
                f"the file has more than {max_bytes:,} bytes (LOOKALIKE_MAX_UPLOAD_BYTES raises the limit)"
            )
    return bytes(content)


class _Deadline(socket.socket):
    """A socket with one deadline for all reads.

    A socket timeout restarts with each byte, so a host that sends its headers slowly could block for ever.
    """

    deadline: float

    def recv_into(self, *arguments: Any, **options: Any) -> int:
        self.settimeout(_seconds_until(self.deadline))
        return super().recv_into(*arguments, **options)


class _TlsDeadline(_Deadline, ssl.SSLSocket):
    """A TLS socket with one deadline for all reads."""


class _Pinned(http.client.HTTPConnection):
    """A connection to one checked address, regardless of what its name resolves to now."""

    def __init__(self, target: _Target, deadline: float) -> None:
        super().__init__(target.host, target.port)
        self._target = target
        self._deadline = deadline

    def connect(self) -> None:
        address = self._target.address
        sock = _Deadline(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
        self.sock = sock
        sock.settimeout(_seconds_until(self._deadline))
        sock.connect((str(address), self._target.port))
        if self._target.scheme == "https":
            context = ssl.create_default_context()
            context.sslsocket_class = _TlsDeadline
            sock.settimeout(_seconds_until(self._deadline))
            sock = cast(_Deadline, context.wrap_socket(sock, server_hostname=self._target.host))
            self.sock = sock
        sock.deadline = self._deadline
        sock.settimeout(_seconds_until(self._deadline))


def _seconds_until(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds
