"""A page says how many pictures lie at its last distance, looked up or counted."""

import numpy as np
import pytest

from app.domain.results import PagePosition, QueryInfo
from app.index.collection_index import CollectionIndex, IndexView
from app.services.searching import paging
from app.services.searching.paging import PageRequest, page_of
from app.services.searching.queries import Examples, NearestOf, Query
from tests.unit.index.pictures import random_codes


def searched(bits: int, pictures: int) -> tuple[IndexView, np.ndarray]:
    codes = random_codes(np.random.default_rng(bits), pictures + 3, bits)
    index = CollectionIndex(bits)
    index.load(np.arange(pictures), codes[3:], 1)
    index.put_filter("even", np.arange(0, pictures, 2), 1)
    return index.view(), codes[:3]


@pytest.mark.parametrize("ahead", [0, 1, 64])
@pytest.mark.parametrize("filter_key", [None, "even"])
@pytest.mark.parametrize("exclude", [[], [0, 1, 2, 3, 4, 5, 6]])
def test_ties_are_those_of_everything_that_can_be_found(monkeypatch, ahead, filter_key, exclude):
    monkeypatch.setattr(paging, "TIES_AHEAD", ahead)
    view, codes = searched(8, 200)
    numbers, known = view.codes_of(np.arange(200), filter_key=filter_key)
    for ranking in (NearestOf(codes[:1]), NearestOf(codes), Examples(codes[:2], codes[2:])):
        query = Query(ranking, QueryInfo(bits=8), np.array(exclude, np.int64))
        distances = ranking.distances_to(known)[~np.isin(numbers, exclude)]
        for limit in (1, 5, 60, 400):
            page = page_of(view, query, PageRequest(limit, None, filter_key))
            assert page.distances.tolist() == np.sort(distances)[:limit].tolist()
            assert page.ties == np.count_nonzero(distances == page.distances[-1])


@pytest.mark.parametrize("ahead", [0, 64])
@pytest.mark.parametrize("filter_key", [None, "even"])
@pytest.mark.parametrize("exclude", [[], [0, 1, 2, 3, 4, 5, 6]])
def test_ties_of_a_later_page_include_those_of_earlier_pages(monkeypatch, ahead, filter_key, exclude):
    monkeypatch.setattr(paging, "TIES_AHEAD", ahead)
    view, codes = searched(8, 200)
    numbers, known = view.codes_of(np.arange(200), filter_key=filter_key)
    for ranking in (NearestOf(codes[:1]), NearestOf(codes), Examples(codes[:2], codes[2:])):
        query = Query(ranking, QueryInfo(bits=8), np.array(exclude, np.int64))
        distances = ranking.distances_to(known)[~np.isin(numbers, exclude)]
        after, returned = None, 0
        while after is None or returned < len(distances):
            page = page_of(view, query, PageRequest(7, None, filter_key, after))
            assert page.ties == np.count_nonzero(distances == page.distances[-1])
            returned += len(page.numbers)
            after = PagePosition(int(page.distances[-1]), int(page.numbers[-1]), returned, page.returned_ties)


def test_ties_across_pages_are_not_counted_by_another_scan(monkeypatch):
    view, codes = searched(8, 200)
    monkeypatch.setattr(NearestOf, "count_at", None)
    query = Query(NearestOf(codes[:1]), QueryInfo(bits=8))
    first = page_of(view, query, PageRequest(20, None, None))
    after = PagePosition(int(first.distances[-1]), int(first.numbers[-1]), 20, first.returned_ties)

    second = page_of(view, query, PageRequest(1, None, None, after))

    assert second.distances[-1] == first.distances[-1]
    assert second.ties == first.ties > second.returned_ties


def test_ties_that_were_looked_up_are_not_counted_by_another_scan(monkeypatch):
    view, codes = searched(64, 500)
    monkeypatch.setattr(NearestOf, "count_at", None)
    query = Query(NearestOf(codes[:1]), QueryInfo(bits=64))

    page = page_of(view, query, PageRequest(5, None, None))

    assert page.ties >= 1
