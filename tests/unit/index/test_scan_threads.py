"""Several threads scan as one does."""

import numpy as np
import pytest

from app.index import scan as scanning
from app.index.collection_index import CollectionIndex, ScanThreads
from app.index.distance_kernels import BLOCK
from tests.unit.index.pictures import delta_of, pairs, random_codes


def answers(index, queries):
    view = index.view()
    return [
        [
            [pairs(found) for found in view.search_many(queries, 9, radius=radius, filter_key=key)]
            + [view.count_at(queries[0], 25, filter_key=key)]
            for key in (None, "third")
        ]
        for radius in (None, 24)
    ]


@pytest.mark.parametrize("n", [BLOCK - 1, BLOCK, 3 * BLOCK, 10 * BLOCK + 77])
def test_several_threads_find_what_one_finds(n, monkeypatch):
    rng = np.random.default_rng(n)
    index, codes = CollectionIndex(64), random_codes(rng, n, 64)
    codes[n // 2 :] = codes[: n - n // 2]  # so that ties lie in the ranges of different threads
    index.load(np.arange(n), codes, 1)
    index.put_filter("third", np.arange(0, n, 3), 1)
    index.apply(delta_of(2, 64, {n: 5}, deleted=[1, n // 2], matches={"third": [n]}))
    queries = codes[:3]
    alone = answers(index, queries)

    monkeypatch.setattr(scanning, "THREADS_FROM", BLOCK)
    index.use_threads(ScanThreads(4))

    assert answers(index, queries) == alone
    assert index.view().threads.threads_for(10 * BLOCK, 1) == 4


def test_few_rows_are_left_to_one_thread():
    assert ScanThreads(8).threads_for(scanning.THREADS_FROM, 1) == 1
    assert ScanThreads(8).threads_for(scanning.THREADS_FROM, 4) == 4
    assert ScanThreads(2).threads_for(scanning.THREADS_FROM, 64) == 2
