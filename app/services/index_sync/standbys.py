"""Indexes of models that collections are about to be switched to, beside the ones that answer.

A collection names the model that it warms. Every process then loads the collection's index under that model
(see ``StandbyLoader``), follows the feed with it, and reports that in its heartbeats. When all have, the
collection's row is switched, and each process, on reading that change, exchanges the indexes between two
searches.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from app.services.index_sync.live_collection import LiveCollection
from app.store.records import CollectionRecord, ProcessModelReport

_log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Standby:
    """One collection under one model that it may be switched to."""

    record: CollectionRecord
    model: str
    live: LiveCollection | None = None
    """Its index, once that follows the feed."""
    refusal: str | None = None
    """Why the model cannot be used here."""


class Standbys:
    """The standbys of one process."""

    def __init__(self) -> None:
        """None is wanted yet."""
        self._standbys: dict[tuple[int, str], Standby] = {}
        self._changed: Callable[[], object] = lambda: None
        self._wanted: Callable[[], object] = lambda: None

    def on_change(self, changed: Callable[[], object]) -> None:
        """Have ``changed`` called whenever ``reports`` has changed."""
        self._changed = changed

    def on_want(self, wanted: Callable[[], object]) -> None:
        """Have ``wanted`` called whenever there is one more to load."""
        self._wanted = wanted

    def want(self, records: Sequence[CollectionRecord], *, afresh: bool = False) -> None:
        """Note what collections warm now, and drop what they no longer do.

        Args:
            records: Every collection.
            afresh: What is loaded already is of another history of the database.
        """
        wanted = {(r.pk, r.warming_model): r for r in records if r.warming_model not in {None, r.model}}
        for key in [key for key in self._standbys if afresh or key not in wanted]:
            del self._standbys[key]
            self._changed()
        for (pk, model), record in wanted.items():
            if model is not None and (pk, model) not in self._standbys:
                self._standbys[pk, model] = Standby(record, model)
                self._wanted()

    def to_load(self) -> Sequence[Standby]:
        """What is wanted and neither loaded nor refused."""
        return [one for one in self._standbys.values() if one.live is None and one.refusal is None]

    def put(self, standby: Standby, live: LiveCollection) -> None:
        """Take in an index that stands where the others do; it follows the feed from now on."""
        if self._is_wanted(standby):
            standby.live = live
            self._changed()
            _log.info("model_warm", collection=standby.record.name, model=standby.model)

    def refuse(self, standby: Standby, reason: str) -> None:
        """Remember that a model cannot be used here."""
        if self._is_wanted(standby):
            standby.refusal = reason
            self._changed()

    def take(self, record: CollectionRecord) -> LiveCollection | None:
        """The loaded index of a collection under the model that it has been switched to, if there is one."""
        standby = self._standbys.pop((record.pk, record.model), None)
        if standby is None:
            return None
        self._changed()
        if standby.live is not None:
            standby.live.record = record
        return standby.live

    def followers(self) -> list[LiveCollection]:
        """Loaded standbys, to apply each change to."""
        return [standby.live for standby in self._standbys.values() if standby.live is not None]

    def reports(self) -> tuple[ProcessModelReport, ...]:
        """What this process can say of them so far."""
        return tuple(
            ProcessModelReport(pk, model, is_ready=standby.live is not None, detail=standby.refusal)
            for (pk, model), standby in self._standbys.items()
            if standby.live is not None or standby.refusal is not None
        )

    def _is_wanted(self, standby: Standby) -> bool:
        return self._standbys.get((standby.record.pk, standby.model)) is standby
