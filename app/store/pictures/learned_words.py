"""Words that were learned from the metadata of a collection's pictures, for each model."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.learned_words import LearnedWord
from app.store.schema.tables import learned_words

_FORMAT: Final = np.dtype("<f4")


class LearnedWordReader:
    """Reads learned words."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list_all(self, collection_pk: int, model: str) -> list[LearnedWord]:
        """Return the words of a collection under a model, those with most pictures first."""
        rows = await self._connection.execute(_of(collection_pk, model))
        # Sorted here, because databases compare text differently.
        return sorted(map(_word, rows), key=lambda one: (-one.pictures, one.word))

    async def offered_among(
        self, collection_pk: int, model: str, words: Iterable[str]
    ) -> dict[str, LearnedWord]:
        """Return those of these words that searches may use, by word."""
        # No learned word contains NUL, and Postgres refuses to compare it.
        comparable = [word for word in words if "\x00" not in word]
        query = _of(collection_pk, model).where(
            learned_words.c.word.in_(comparable), learned_words.c.is_offered
        )
        return {row.word: _word(row) for row in await self._connection.execute(query)}

    async def offered_words(self, collection_pk: int, model: str) -> list[str]:
        """Return the words that searches may use, in no particular order."""
        query = sa.select(learned_words.c.word).where(
            learned_words.c.collection_pk == collection_pk,
            learned_words.c.model == model,
            learned_words.c.is_offered,
        )
        return list(await self._connection.scalars(query))


class LearnedWordWriter(LearnedWordReader):
    """Reads and writes learned words."""

    async def replace_all(self, collection_pk: int, model: str, words: Sequence[LearnedWord]) -> None:
        """Replace the words of a collection under a model."""
        await self._connection.execute(
            sa.delete(learned_words).where(
                learned_words.c.collection_pk == collection_pk, learned_words.c.model == model
            )
        )
        rows = [
            {
                "collection_pk": collection_pk,
                "model": model,
                "word": one.word,
                "pictures": one.pictures,
                "precision_at_10": one.precision_at_10,
                "average_precision": one.average_precision,
                "uses_names": one.uses_names,
                "is_offered": one.is_offered,
                "offset": one.offset,
                "threshold": one.threshold,
                "weights": one.weights.astype(_FORMAT).tobytes(),
            }
            for one in words
        ]
        if rows:
            await self._connection.execute(sa.insert(learned_words), rows)


def _of(collection_pk: int, model: str) -> sa.Select[Any]:
    return sa.select(learned_words).where(
        learned_words.c.collection_pk == collection_pk, learned_words.c.model == model
    )


def _word(row: sa.Row[Any]) -> LearnedWord:
    return LearnedWord(
        word=row.word,
        pictures=row.pictures,
        precision_at_10=row.precision_at_10,
        average_precision=row.average_precision,
        uses_names=row.uses_names,
        is_offered=row.is_offered,
        offset=row.offset,
        threshold=row.threshold,
        weights=np.frombuffer(row.weights, _FORMAT),
    )
