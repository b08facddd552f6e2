"""Readers search while a writer writes: each answer is the oracle's at some version within its time."""

import os
import threading
import time

import numpy as np
import pytest

from app.index import planner
from app.index.collection_index import CollectionIndex
from tests.oracles.hamming import Pictures
from tests.oracles.ranking import ranking
from tests.unit.index.pictures import delta_of, integers, numbers_of, pairs, random_codes, words_of

BITS, READERS = 64, 3
WRITES = 2_000 if os.environ.get("LOOKALIKE_SOAK") else 120
OWNER = "concurrency"


def reader(index, queries, answers, done):
    """Search until the writer is done, noting the versions before and after each answer."""
    j = 0
    while not done.is_set() or j < 20:
        j += 1
        query, key = queries[j % len(queries)], ("half", None)[j % 2]
        first = index.view().version
        found = index.view().search(words_of([query], BITS)[0], 8, filter_key=key)
        answers.append((query, key, first, index.view().version, pairs(found)))


def builder(index, states, done):
    """Build hash tables whenever they are wanted, noting the tables that searches then had."""
    while not done.is_set():
        index.build_engines()
        states.append(index.view().main.engine)


def saver(index, path, saved, done):
    """Save again and again, and open what was saved, noting its version and what it answers."""
    query = np.zeros(1, np.uint64)
    while not done.is_set() or not saved:
        index.save(path, OWNER)
        view = CollectionIndex.open(path, BITS, OWNER).view()
        saved.append((view.version, pairs(view.search(query, 8))))


def wait_for_an_answer(answers):
    """Let the readers on: a writer that is done before they begin proves nothing."""
    before, deadline = sum(map(len, answers)), time.monotonic() + 60
    while sum(map(len, answers)) == before and time.monotonic() < deadline:
        time.sleep(0.0001)


def write(index, history, answers, rng):
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
        wait_for_an_answer(answers)


@pytest.mark.slow
def test_every_answer_is_exact_at_a_version_between_its_start_and_its_end(tmp_path, monkeypatch):
    """While pictures come, go and change, matrices are merged, tables are built and snapshots saved."""
    monkeypatch.setattr(planner, "TRIAL_SHARE", 1_000)
    monkeypatch.setattr(planner, "TOTAL_SHARE", 1_000)
    rng = np.random.default_rng(7)
    codes = random_codes(rng, 600, BITS)
    start = Pictures(enumerate(integers(codes)), {"half": range(0, 600, 2)})
    index = CollectionIndex(BITS, slack=50, hash_from=1, min_use=0)
    index.load(np.arange(600), codes, 1)
    index.put_filter("half", numbers_of(start.filters["half"]), 1)
    history, answers, done = {1: start}, [[] for _ in range(READERS)], threading.Event()
    queries = integers(random_codes(rng, 5, BITS))
    tables, saved = [], []
    threads = [threading.Thread(target=reader, args=(index, queries, a, done)) for a in answers]
    threads.append(threading.Thread(target=builder, args=(index, tables, done)))
    threads.append(threading.Thread(target=saver, args=(index, tmp_path / "snapshot", saved, done)))
    for thread in threads:
        thread.start()

    try:
        write(index, history, answers, rng)
    finally:
        done.set()
        for thread in threads:
            thread.join()

    given = [answer for part in answers for answer in part]
    assert len({last for *_, last, _ in given}) > WRITES / 2
    assert len({id(engine) for engine in tables}) > 1
    for version, found in saved:
        assert found == ranking(history[version].codes, 0, 8), version
    for query, key, first, last, found in given[:: max(1, len(given) // 2_000)]:
        expected = (ranking(history[v].candidates(key), query, 8) for v in range(first, last + 1))
        assert any(found == answer for answer in expected), (query, key, first, last)
