"""Derive the number of connections from the process's limit on file descriptors."""

import resource
from typing import Final

import structlog

_log = structlog.get_logger()

RESERVED: Final = 256
"""Descriptors kept for the database, files, decoders, and connections accepted but not yet counted."""


def raise_descriptor_limit() -> int:
    """Raise the soft limit of file descriptors to the hard one, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 20


def affordable_connections(wanted: int, descriptors: int) -> int:
    """Return ``wanted``, or less if that would use the reserve of ``descriptors``; at least 16."""
    affordable = max(16, min(wanted, descriptors - RESERVED))
    if affordable < wanted:
        _log.warning("connections_limited", wanted=wanted, connections=affordable, descriptors=descriptors)
    return affordable
