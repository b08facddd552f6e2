"""Readers search while a writer writes: each answer is the oracle's at some version within its time."""

import threading

import numpy as np
import pytest

from app.index.collection_index import CollectionIndex
from tests.oracles.hamming import Pictures
from tests.oracles.ranking import ranking
from tests.unit.index.pictures import delta_of, integers, numbers_of, pairs, random_codes, words_of

BITS, READERS, WRITES = 64, 3, 120


def reader(index, queries, answers, done):
    """Search until the writer is done, noting the versions before and after each answer."""
    j = 0
    while not done.is_set() or j < 20:
        j += 1
        query, key = queries[j % len(queries)], ("half", None)[j % 2]
        first = index.view().version
        found = index.view().search(words_of([query], BITS)[0], 8, filter_key=key)
        answers.append((query, key, first, index.view().version, pairs(found)))


def write(index, history, rng):
    """Add, replace, delete and refilter at random, keeping what each version should hold."""
    pictures = history[1].copy()
    next_number = max(pictures.codes) + 1
    for version in range(2, WRITES + 2):
        known = sorted(pictures.codes)
        deleted = rng.choice(known, 10, replace=False).tolist()
        replaced = [n for n in rng.choice(known, 3, replace=False).tolist() if n not in deleted]
        numbers = [*replaced, *range(next_number, next_number + 12)]
        next_number += 12
        put = dict(zip(numbers, integers(random_codes(rng, len(numbers), BITS)), strict=True))
        pictures.codes = {n: c for n, c in (pictures.codes | put).items() if n not in deleted}
        allowed = {n for n in put if rng.random() < 0.5}
        pictures.filters["half"] = (pictures.filters["half"] - {*put, *deleted}) | allowed
        # The oracle's state is noted first: no reader may meet a version that it does not know.
        history[version] = pictures.copy()
        index.apply(delta_of(version, BITS, put, deleted, matches={"half": allowed}))


@pytest.mark.slow
def test_every_answer_is_exact_at_a_version_between_its_start_and_its_end():
    rng = np.random.default_rng(7)
    codes = random_codes(rng, 600, BITS)
    start = Pictures(enumerate(integers(codes)), {"half": range(0, 600, 2)})
    index = CollectionIndex(BITS, slack=50)
    index.load(np.arange(600), codes, 1)
    index.put_filter("half", numbers_of(start.filters["half"]), 1)
    history, answers, done = {1: start}, [[] for _ in range(READERS)], threading.Event()
    queries = integers(random_codes(rng, 5, BITS))
    threads = [threading.Thread(target=reader, args=(index, queries, a, done)) for a in answers]
    for thread in threads:
        thread.start()

    try:
        write(index, history, rng)
    finally:
        done.set()
        for thread in threads:
            thread.join()

    given = [answer for part in answers for answer in part]
    assert {last for *_, last, _ in given} > {1}
    for query, key, first, last, found in given[:: max(1, len(given) // 2_000)]:
        expected = (ranking(history[v].candidates(key), query, 8) for v in range(first, last + 1))
        assert any(found == answer for answer in expected), (query, key, first, last)
