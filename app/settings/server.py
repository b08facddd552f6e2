"""Server: address and connections."""

import ipaddress
import re
from typing import Final

from pydantic import Field, field_validator

from app.settings.base import CommaSeparated, SettingsGroup

PREFIX_PATTERN: Final = r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+"
"""Prefixes of paths that need no escaping anywhere."""


class ServerSettings(SettingsGroup):
    """Server: address and connections."""

    host: str = "127.0.0.1"
    """Address to listen on. Any address except loopback needs a key or ``LOOKALIKE_INSECURE``."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on."""
    root_path: str = ""
    """Path prefix of a proxy, such as ``/pictures``; the proxy may remove it from what it forwards, or not."""
    trusted_proxies: CommaSeparated = ["127.0.0.0/8", "::1"]
    """Addresses and networks of proxies whose ``X-Forwarded-*`` or ``Forwarded`` headers are believed."""
    processes: int = Field(default=1, ge=1, le=64)
    """Number of serving processes on the address; limits on connections and requests count in each of them."""
    max_connections: int = Field(default=1000, ge=16)
    """Maximum open connections, fewer if file descriptors are scarce; a further one replaces an idle one."""
    max_connections_per_address: int = Field(default=500, ge=1)
    """Maximum open connections of one address; a proxy counts as one address."""
    max_head_bytes: int = Field(default=32_768, ge=1024)
    """Largest head of a request, in bytes; at most 100 headers."""
    head_timeout_s: float = Field(default=10.0, gt=0)
    """Time limit for receiving the head of a request, in seconds."""
    body_timeout_s: float = Field(default=30.0, gt=0)
    """Time limit for receiving a request's body, in seconds."""
    idle_timeout_s: float = Field(default=15.0, gt=0)
    """How long a connection may wait for its next request, in seconds."""
    write_timeout_s: float = Field(default=30.0, gt=0)
    """How long a client may leave an answer unread, in seconds."""

    @field_validator("root_path")
    @classmethod
    def _normalise_prefix(cls, text: str) -> str:
        prefix = text.rstrip("/")
        if prefix and not re.fullmatch(PREFIX_PATTERN, prefix):
            raise ValueError(
                "write a path such as /pictures: a slash, then letters, digits, '-', '.', '_' or '~'"
            )
        return prefix

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, texts: list[str]) -> list[str]:
        for text in texts:
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                raise ValueError(
                    f"{text} is neither an address nor a network; write for instance 10.0.0.5,172.16.0.0/12"
                ) from error
        return texts

    @property
    def trusted_networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """Networks of the trusted proxies."""
        return [ipaddress.ip_network(text) for text in self.trusted_proxies]

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False
