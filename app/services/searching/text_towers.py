"""Text towers of models: load each on first use, and keep the weights of recent texts."""

import asyncio
from collections import OrderedDict
from typing import Final

from app.domain.errors import TextNotSupported
from app.encoding.artifact import Artifact
from app.encoding.text_tower import EXTRA, EncodedText, TextTower, TokenizersMissing

RECENT: Final = 256
"""Texts whose weights are kept, each of at most 2 kB."""


class TextTowers:
    """Encodes texts by the text towers of models."""

    def __init__(self, *, threads: int) -> None:
        """Encode each text with this number of threads."""
        self._threads = threads
        self._towers: dict[str, TextTower] = {}
        self._loading = asyncio.Lock()
        self._recent: OrderedDict[tuple[str, str], EncodedText] = OrderedDict()

    async def encode(self, artifact: Artifact, text: str) -> EncodedText:
        """Return how strongly each bit supports a text.

        Raises:
            TextNotSupported: The package that text towers need is not installed.
            ArtifactRefused: A file of the tower is damaged.
        """
        key = (artifact.digest, text)
        if key not in self._recent:
            tower = await self._tower(artifact)
            self._recent[key] = await asyncio.to_thread(tower.encode, text)
            if len(self._recent) > RECENT:
                self._recent.popitem(last=False)
        self._recent.move_to_end(key)
        return self._recent[key]

    async def _tower(self, artifact: Artifact) -> TextTower:
        # Texts that come at the same time must not load a tower twice.
        async with self._loading:
            if artifact.digest not in self._towers:
                try:
                    tower = await asyncio.to_thread(TextTower, artifact, threads=self._threads)
                except TokenizersMissing as error:
                    raise TextNotSupported(
                        f"the model {artifact.name!r} encodes texts by the package tokenizers, which is not "
                        f"installed here: run `pip install '{EXTRA}'` and restart the service"
                    ) from error
                self._towers[artifact.digest] = tower
        return self._towers[artifact.digest]
