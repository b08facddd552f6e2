"""Indexes of models that collections are about to be switched to, loaded beside the ones that answer.

A collection names the model that it warms. Every process then fetches, verifies and loads that model in the
background, loads the collection's index under it, follows the feed with it, and says so. When all have, the
collection's row is switched, and each process, on reading that change, puts the loaded index in the place of
the other between two searches.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import structlog

from app.domain.errors import LookalikeError, Unavailable
from app.services.index_sync.live_collection import LiveCollection
from app.services.index_sync.loading import Loader
from app.services.supervision import BackgroundTask, Supervisor
from app.store.engine import Database
from app.store.feed import FeedPruned
from app.store.records import CollectionRecord, ModelReport

_log = structlog.get_logger()

RETRY_S: Final = 1.0

Key = tuple[int, str]
Admit = Callable[[LiveCollection], Awaitable[None]]
"""Brings a loaded index to where the others stand and calls ``Standbys.put``."""


@dataclass(slots=True)
class _Standby:
    loading: BackgroundTask
    live: LiveCollection | None = None
    refusal: str | None = None


class Standbys:
    """The standbys of one process."""

    def __init__(self, database: Database, supervisor: Supervisor, loader: Loader, admit: Admit) -> None:
        """Load with ``loader`` in tasks of ``supervisor``, and hand over to ``admit``."""
        self._supervisor = supervisor
        self._database = database
        self._loader = loader
        self._admit = admit
        self._standbys: dict[Key, _Standby] = {}
        self._changed: Callable[[], object] = lambda: None

    def on_change(self, changed: Callable[[], object]) -> None:
        """Have ``changed`` called whenever ``reports`` has changed."""
        self._changed = changed

    def want(self, records: Sequence[CollectionRecord], *, anew: bool = False) -> None:
        """Begin to load what collections warm now, and drop what they no longer do.

        Args:
            records: Every collection.
            anew: What is loaded already is of another history of the database.
        """
        wanted = {(r.pk, r.warming_model): r for r in records if r.warming_model not in {None, r.model}}
        for key in [key for key in self._standbys if anew or key not in wanted]:
            self._standbys.pop(key).loading.cancel()
            self._changed()
        for (pk, model), record in wanted.items():
            if model is not None and (pk, model) not in self._standbys:
                task = self._supervisor.run("model loading", partial(self._load, record, model))
                self._standbys[pk, model] = _Standby(task)

    def put(self, live: LiveCollection) -> None:
        """Take in an index that stands where the others do; it follows the feed from now on."""
        standby = self._standbys.get((live.record.pk, live.record.model))
        if standby is not None:
            standby.live = live
            self._changed()
            _log.info("model_warm", collection=live.record.name, model=live.record.model)

    def take(self, record: CollectionRecord) -> LiveCollection | None:
        """The loaded index of a collection under the model that it has been switched to, if there is one."""
        standby = self._standbys.pop((record.pk, record.model), None)
        if standby is None:
            return None
        self._changed()
        if standby.live is None:
            standby.loading.cancel()
            return None
        standby.live.record = record
        return standby.live

    def followers(self) -> list[LiveCollection]:
        """Loaded standbys, to apply each change to."""
        return [standby.live for standby in self._standbys.values() if standby.live is not None]

    def reports(self) -> tuple[ModelReport, ...]:
        """What this process can say of them so far."""
        return tuple(
            ModelReport(pk, model, is_ready=standby.live is not None, detail=standby.refusal)
            for (pk, model), standby in self._standbys.items()
            if standby.live is not None or standby.refusal is not None
        )

    async def _load(self, record: CollectionRecord, model: str) -> None:
        while True:
            # Fetching and checking a model may take longer than a transaction may wait.
            await self._loader.warm([replace(record, model=model)])
            try:
                async with self._database.read() as unit:
                    live = await self._loader.load_standby(unit, record, model)
                await self._admit(live)
            except (Unavailable, FeedPruned) as error:
                _log.warning("model_not_warm_yet", collection=record.name, model=model, detail=str(error))
                await asyncio.sleep(RETRY_S)
            except LookalikeError as error:
                _log.error("model_refused", collection=record.name, model=model, detail=error.detail)
                if (standby := self._standbys.get((record.pk, model))) is not None:
                    standby.refusal = error.detail
                    self._changed()
                return
            else:
                return
