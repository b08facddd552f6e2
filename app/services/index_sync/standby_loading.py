"""Load indexes under the models that collections will be switched to."""

from dataclasses import replace
from typing import Final

import structlog

from app.domain.errors import LookalikeError, Unavailable
from app.services.index_sync.feed_follower import FeedFollower
from app.services.index_sync.loading import Loader
from app.services.index_sync.standbys import Standby, Standbys
from app.store.engine import Database
from app.store.pictures.feed import FeedPruned

_log = structlog.get_logger()

RETRY_S: Final = 1.0
"""Seconds between two attempts."""


class StandbyLoader:
    """Load standbys, which the feed follower then keeps up to date."""

    def __init__(self, database: Database, standbys: Standbys, follower: FeedFollower, loader: Loader) -> None:
        """Load the indexes of ``standbys`` with ``loader``."""
        self._database = database
        self._standbys = standbys
        self._follower = follower
        self._loader = loader

    async def load(self) -> float | None:
        """Try once to load each standby that is neither loaded nor refused.

        Returns:
            Seconds until the next attempt; None if no standby is left to load.
        """
        last_error: Exception | None = None
        for standby in self._standbys.to_load():
            try:
                await self._load(standby)
            except Exception as error:  # noqa: BLE001 - load the other standbys before raising
                last_error = error
        if last_error is not None:
            raise last_error
        return RETRY_S if self._standbys.to_load() else None

    async def _load(self, standby: Standby) -> None:
        record, model = standby.record, standby.model
        # Load the model first: fetching and checking it may take longer than a transaction may be idle.
        await self._loader.warm([replace(record, model=model)])
        try:
            async with self._database.read() as unit:
                live = await self._loader.load_standby(unit, record, model)
            await self._follower.add_standby(standby, live)
        except (Unavailable, FeedPruned) as error:
            _log.warning("model_not_warm_yet", collection=record.name, model=model, detail=str(error))
        except LookalikeError as error:
            _log.error("model_refused", collection=record.name, model=model, detail=error.detail)
            self._standbys.set_refused(standby, error.detail)
