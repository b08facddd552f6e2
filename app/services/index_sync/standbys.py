"""Indexes under the models that collections will be switched to, beside the active indexes.

A collection's row names the model to warm. Every process loads an index under that model (see
``StandbyLoader``), keeps it up to date and reports it in its heartbeats. Once all processes have reported, the
row is switched; each process replaces the active index by the standby when it reads that change.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from app.domain.collections import CollectionRecord
from app.domain.processes import ProcessModelReport
from app.services.index_sync.live_collection import LiveCollection

_log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Standby:
    """A collection under a model that it may be switched to."""

    record: CollectionRecord
    model: str
    live: LiveCollection | None = None
    """Its index, once loaded and up to date."""
    refusal: str | None = None
    """Why this process cannot use the model."""


class Standbys:
    """The standbys of one process."""

    def __init__(self) -> None:
        """Start without standbys."""
        self._standbys: dict[tuple[int, str], Standby] = {}
        self._notify_changed: Callable[[], object] = lambda: None
        self._notify_added: Callable[[], object] = lambda: None

    def on_change(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` whenever the result of ``reports`` has changed."""
        self._notify_changed = callback

    def on_added(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` whenever there is another standby to load."""
        self._notify_added = callback

    def update(self, records: Sequence[CollectionRecord], *, reload: bool = False) -> None:
        """Add a standby for each warming model, and drop those that are no longer warmed.

        Args:
            records: All collections.
            reload: Whether to drop loaded indexes too, because they are of another history of the database.
        """
        warming = {(r.pk, r.warming_model): r for r in records if r.warming_model not in {None, r.model}}
        for key in [key for key in self._standbys if reload or key not in warming]:
            del self._standbys[key]
            self._notify_changed()
        for (pk, model), record in warming.items():
            if model is not None and (pk, model) not in self._standbys:
                self._standbys[pk, model] = Standby(record, model)
                self._notify_added()

    def to_load(self) -> Sequence[Standby]:
        """Return the standbys that are neither loaded nor refused."""
        return [one for one in self._standbys.values() if one.live is None and one.refusal is None]

    def set_loaded(self, standby: Standby, live: LiveCollection) -> None:
        """Set the index of a standby; it must be up to date with the others."""
        if self._is_current(standby):
            standby.live = live
            self._notify_changed()
            _log.info("model_warm", collection=standby.record.name, model=standby.model)

    def set_refused(self, standby: Standby, reason: str) -> None:
        """Record that this process cannot use a standby's model."""
        if self._is_current(standby):
            standby.refusal = reason
            self._notify_changed()

    def pop_loaded(self, record: CollectionRecord) -> LiveCollection | None:
        """Remove a collection's standby under its active model and return its index; None if not loaded."""
        standby = self._standbys.pop((record.pk, record.model), None)
        if standby is None:
            return None
        self._notify_changed()
        if standby.live is not None:
            standby.live.record = record
        return standby.live

    def loaded(self) -> list[LiveCollection]:
        """Return the indexes of loaded standbys."""
        return [standby.live for standby in self._standbys.values() if standby.live is not None]

    def reports(self) -> tuple[ProcessModelReport, ...]:
        """Return a report for each standby that is loaded or refused."""
        return tuple(
            ProcessModelReport(pk, model, is_ready=standby.live is not None, detail=standby.refusal)
            for (pk, model), standby in self._standbys.items()
            if standby.live is not None or standby.refusal is not None
        )

    def _is_current(self, standby: Standby) -> bool:
        return self._standbys.get((standby.record.pk, standby.model)) is standby
