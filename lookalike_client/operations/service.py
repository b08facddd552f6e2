"""Probe and describe the service; open and close a session."""

from lookalike_client.answers.service import Health, Info, Readiness, System
from lookalike_client.calls import Call, Repeat, answer, nothing, text


def get_health() -> Call[Health]:
    """Return whether the process lives."""
    return Call("GET", "/healthz", answer(Health))


def get_readiness() -> Call[Readiness]:
    """Return whether the service can search."""
    return Call("GET", "/readyz", answer(Readiness))


def get_info() -> Call[Info]:
    """Return version, collections, memory and limits."""
    return Call("GET", "/info", answer(Info))


def get_system() -> Call[System]:
    """Return free memory and disk, room for more pictures, and the live processes."""
    return Call("GET", "/admin/system", answer(System))


def get_metrics() -> Call[str]:
    """Return the metrics in Prometheus' text format."""
    return Call("GET", "/metrics", text)


def open_session() -> Call[None]:
    """Exchange the key for a cookie, which the client then sends."""
    return Call("POST", "/session", nothing, repeat=Repeat.NEVER)


def close_session() -> Call[None]:
    """End the session of the cookie."""
    return Call("DELETE", "/session", nothing, repeat=Repeat.IF_REFUSED)
