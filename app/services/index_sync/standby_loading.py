"""Loads the indexes of models that collections are about to be switched to."""

from dataclasses import replace
from typing import Final

import structlog

from app.domain.errors import LookalikeError, Unavailable
from app.services.index_sync.feed_follower import FeedFollower
from app.services.index_sync.loading import Loader
from app.services.index_sync.standbys import Standby, Standbys
from app.store.engine import Database
from app.store.feed import FeedPruned

_log = structlog.get_logger()

RETRY_S: Final = 1.0
"""Seconds between two attempts."""


class StandbyLoader:
    """Loads what ``Standbys`` wants and hands it over to the feed follower."""

    def __init__(self, database: Database, standbys: Standbys, follower: FeedFollower, loader: Loader) -> None:
        """Load the standbys of ``standbys`` by ``loader``."""
        self._database = database
        self._standbys = standbys
        self._follower = follower
        self._loader = loader

    async def load(self) -> float | None:
        """Try once to load each standby that is wanted.

        Returns:
            Seconds until what is left should be tried again, None where nothing is.
        """
        crash: Exception | None = None
        for standby in self._standbys.to_load():
            try:
                await self._load(standby)
            except Exception as error:  # noqa: BLE001 - one that crashes keeps no other from being loaded
                crash = error
        if crash is not None:
            raise crash
        return RETRY_S if self._standbys.to_load() else None

    async def _load(self, standby: Standby) -> None:
        record, model = standby.record, standby.model
        # Fetching and checking a model may take longer than a transaction may wait.
        await self._loader.warm([replace(record, model=model)])
        try:
            async with self._database.read() as unit:
                live = await self._loader.load_standby(unit, record, model)
            await self._follower.admit(standby, live)
        except (Unavailable, FeedPruned) as error:
            _log.warning("model_not_warm_yet", collection=record.name, model=model, detail=str(error))
        except LookalikeError as error:
            _log.error("model_refused", collection=record.name, model=model, detail=error.detail)
            self._standbys.refuse(standby, error.detail)
