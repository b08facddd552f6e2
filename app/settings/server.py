"""Server: address and connections."""

import ipaddress

from pydantic import Field

from app.settings.base import SettingsGroup


class ServerSettings(SettingsGroup):
    """Server: address and connections."""

    host: str = "127.0.0.1"
    """Address to listen on. Any address except loopback needs a key or ``LOOKALIKE_INSECURE``."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on."""
    processes: int = Field(default=1, ge=1, le=64)
    """Number of serving processes on the address; limits on connections and requests count in each of them."""
    max_connections: int = Field(default=1000, ge=16)
    """Most open connections, fewer where file descriptors are scarce; a further one replaces an idle one."""
    max_connections_per_address: int = Field(default=500, ge=1)
    """Most open connections of one address; a proxy counts as one address."""
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

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False
