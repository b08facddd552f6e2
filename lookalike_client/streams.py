"""Parsers of streams: server-sent events and lines of JSON."""

import json

import msgspec

from lookalike_client.answers.backups import ExportedPicture
from lookalike_client.answers.jobs import Job


class JobEvents:
    """Parses the server-sent events of a job, each of which holds the job."""

    def __init__(self) -> None:
        self._data: list[str] = []

    def feed(self, line: str) -> Job | None:
        """Return the job when a blank line ends an event with data."""
        if line.startswith("data:"):
            self._data.append(line.removeprefix("data:").removeprefix(" "))
        if line or not self._data:
            return None
        data, self._data = "\n".join(self._data), []
        return msgspec.convert(json.loads(data), Job)


class ExportedPictures:
    """Parses an export: one JSON object a line."""

    def feed(self, line: str) -> ExportedPicture | None:
        """Return the picture of a line."""
        return msgspec.convert(json.loads(line), ExportedPicture) if line else None


class Lines:
    """Passes lines of text on."""

    def feed(self, line: str) -> str:
        """Return the line."""
        return line
