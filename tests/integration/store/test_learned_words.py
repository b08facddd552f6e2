"""Learned words are stored alike in both databases."""

import numpy as np
import pytest

from app.domain.learned_words import LearnedWord
from app.store.engine import Database
from tests.integration.store.pictures import make_collection

pytestmark = pytest.mark.anyio

MODEL = "tiny-16"


def word(name: str, pictures: int, *, is_offered: bool = True) -> LearnedWord:
    weights = np.linspace(-1, 1, 16).astype(np.float32) * pictures
    return LearnedWord(name, pictures, 0.75, 0.5, False, is_offered, -0.125, 0.25, weights)


async def test_words_are_replaced_as_a_whole_under_one_model(database: Database) -> None:
    pk = (await make_collection(database)).pk
    async with database.write() as unit:
        await unit.learned_words.replace_all(pk, "another", [word("kept", 3)])
        await unit.learned_words.replace_all(pk, MODEL, [word("old", 3)])
    async with database.write() as unit:
        await unit.learned_words.replace_all(
            pk, MODEL, [word("Éclair", 4), word("zebra", 4), word("ant", 9), word("bad", 9, is_offered=False)]
        )

    async with database.read() as unit:
        words = await unit.learned_words.list_all(pk, MODEL)
        offered = await unit.learned_words.offered_words(pk, MODEL)
        some = await unit.learned_words.offered_among(pk, MODEL, ["zebra", "bad", "old", "kept"])
        other = await unit.learned_words.list_all(pk, "another")

    assert [one.word for one in words] == ["ant", "bad", "zebra", "Éclair"]
    assert sorted(offered) == ["ant", "zebra", "Éclair"]
    assert list(some) == ["zebra"]
    assert [one.word for one in other] == ["kept"]
    read, written = some["zebra"], word("zebra", 4)
    assert read.weights.tolist() == written.weights.tolist()
    assert (read.offset, read.threshold, read.precision_at_10) == (-0.125, 0.25, 0.75)
    assert read.is_offered is True
    assert read.uses_names is False


async def test_a_word_with_nul_is_found_in_neither_database(database: Database) -> None:
    pk = (await make_collection(database)).pk
    async with database.write() as unit:
        await unit.learned_words.replace_all(pk, MODEL, [word("zebra", 4)])

    async with database.read() as unit:
        some = await unit.learned_words.offered_among(pk, MODEL, ["zebra", "zebra\0s"])

    assert list(some) == ["zebra"]
