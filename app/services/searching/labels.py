"""Label every picture of a collection with the words that its code speaks for, without training."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import Any, Final

import numpy as np

from app.domain.codes import codes_from_bytes, unpack_signs
from app.domain.images import ImageRecord
from app.domain.results import Suggestion
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.searching.suggestions import KnownWords, Suggestions
from app.store.engine import Database

PAGE: Final = 1_000
COLUMNS: Final = ("id", "uri", "rank", "word", "source", "share")


class LabelFormat(StrEnum):
    """Format of exported labels."""

    NDJSON = "ndjson"
    """A line of JSON for each picture."""
    CSV = "csv"
    """A row for each word of a picture."""


class LabelExport:
    """Exports the words of all pictures of a collection."""

    def __init__(self, database: Database, catalogue: CollectionCatalogue, suggestions: Suggestions) -> None:
        """Read codes from the database, and words as ``suggestions`` does."""
        self._database = database
        self._catalogue = catalogue
        self._suggestions = suggestions

    async def export(
        self, collection: str, form: LabelFormat, limit: int, min_share: float
    ) -> AsyncIterator[bytes]:
        """Return an iterator over the pictures in insertion order, a page at a time.

        A picture without a code under the active model has no words.

        Args:
            collection: Name of the collection.
            form: Format of the lines.
            limit: Most words of a picture.
            min_share: Least share of a word.

        Raises:
            UnknownCollection: The collection does not exist.
            TextNotSupported: No word was learned, and the collection's model has no class weights.
        """
        record = self._catalogue.collection(collection).record
        known = await self._suggestions.known_words(record.pk, record.model)
        bits = self._catalogue.collection(collection).index.bits
        return self._lines(record.pk, record.model, bits, known, form, limit, min_share)

    async def _lines(
        self,
        pk: int,
        model: str,
        bits: int,
        known: KnownWords,
        form: LabelFormat,
        limit: int,
        min_share: float,
    ) -> AsyncIterator[bytes]:
        if form is LabelFormat.CSV:
            yield _csv([COLUMNS])
        after = -1
        while True:
            async with self._database.read() as unit:
                page = await unit.images.page(pk, after, PAGE)
                coded = await unit.images.codes_of(pk, model, [image.number for image in page])
            if not page:
                return
            after = page[-1].number
            yield await asyncio.to_thread(_page, page, coded, model, bits, known, form, limit, min_share)


Picture = tuple[str, str | None, Sequence[Suggestion]]


def _page(
    page: Sequence[ImageRecord],
    coded: dict[int, bytes],
    model: str,
    bits: int,
    known: KnownWords,
    form: LabelFormat,
    limit: int,
    min_share: float,
) -> bytes:
    words = _words(known, coded, bits, limit, min_share)
    pictures = [(image.image_id, image.uri, words.get(image.number, [])) for image in page]
    return _csv(_rows(pictures)) if form is LabelFormat.CSV else _ndjson(pictures, model)


def _words(
    known: KnownWords, coded: dict[int, bytes], bits: int, limit: int, min_share: float
) -> dict[int, list[Suggestion]]:
    if not coded:
        return {}
    signs = unpack_signs(codes_from_bytes(b"".join(coded.values()), bits), bits)
    found = known.suggest(np.asarray(signs), limit)
    return {
        number: [one for one in words if one.share >= min_share]
        for number, words in zip(coded, found, strict=True)
    }


def _ndjson(pictures: Sequence[Picture], model: str) -> bytes:
    lines = []
    for image_id, uri, words in pictures:
        labels = [
            {"word": one.word, "source": one.source, "share": round(one.share, 4), "general": one.general}
            for one in words
        ]
        line = {"id": image_id, "uri": uri, "model": model, "labels": labels}
        lines.append(json.dumps(line, ensure_ascii=False))
    return ("\n".join(lines) + "\n").encode()


def _rows(pictures: Sequence[Picture]) -> list[tuple[Any, ...]]:
    return [
        (image_id, uri or "", i, one.word, one.source, f"{one.share:.4f}")
        for image_id, uri, words in pictures
        for i, one in enumerate(words, 1)
    ]


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
