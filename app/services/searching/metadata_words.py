"""Look for the words of a text in metadata: the matching pictures first, then the others by their looks."""

from dataclasses import replace
from typing import Final

import numpy as np

from app.domain.errors import FieldError, InvalidRequest, TextNotSupported, TextNotUnderstood
from app.domain.filters import Every, Filter, Match, word_term, words_in
from app.domain.ranks import Rank, Where
from app.domain.results import SearchLimits
from app.index.collection_index import IndexView
from app.services.index_sync.live_collection import LiveCollection
from app.services.searching.answers import PreparedSearch
from app.services.searching.paging import Page
from app.services.searching.queries import WeightedBits
from app.services.searching.weighted_paging import weighted_page_of
from app.words.phrases import ARTICLES, Phrase, check_phrases, joined_phrases, parse_phrases

_REST: Final = "pictures whose metadata do not match"
"""Key of a filter that lives for one search."""


def filter_by_words(text: str, own: Filter | None) -> Filter:
    """Return a filter that also requires every wanted word of a text, and no unwanted phrase, in the metadata.

    Args:
        text: Phrases; their hints are ignored.
        own: The filter of the request.

    Raises:
        InvalidRequest: The text names nothing or too much.
    """
    phrases = _phrases(text)
    own = own or Filter()
    wanted = dict.fromkeys(match for phrase in phrases if phrase.is_wanted for match in _matches(phrase))
    unwanted = [Every(_matches(phrase)) for phrase in phrases if not phrase.is_wanted]
    return Filter((*own.must, *wanted), (*own.must_not, *unwanted))


def _phrases(text: str) -> list[Phrase]:
    try:
        parts = [
            part
            for phrase in parse_phrases(text)
            for part in (joined_phrases(phrase) if phrase.is_joined else [phrase])
        ]
        check_phrases(parts)
    except ValueError as error:
        raise InvalidRequest(errors=[FieldError("/text", str(error))]) from error
    return parts


def _matches(phrase: Phrase) -> tuple[Match, ...]:
    words = words_in(phrase.words)
    without_articles = [word for word in words if word not in ARTICLES] or words
    return tuple(Match(word_term(word)) for word in dict.fromkeys(without_articles))


def metadata_page_of(view: IndexView, prepared: PreparedSearch, ranking: WeightedBits, matching: str) -> Page:
    """Return a page of the pictures that match, ordered by the ranking, then of the others if both are wanted.

    Args:
        view: The state to search, that of ``prepared``.
        prepared: A search under the request's own filter.
        ranking: Its ranking; all weights are 0 if the words are not understood, and then no others follow.
        matching: Key of the filter that ``filter_by_words`` returns, kept in the same view.
    """
    query, request = prepared.query, prepared.request
    is_understood = bool(np.any(ranking.y))
    is_rest = request.after is not None and request.after.is_rest
    first = _no_page()
    if not is_rest:
        first = weighted_page_of(view, query, ranking, replace(request, filter_key=matching))
        if not is_understood:
            # The code of no words is nothing to measure a distance from.
            first = replace(first, distances=np.zeros_like(first.distances))
    matched = len(first.numbers)
    if first.more or prepared.where is Where.METADATA or not is_understood:
        return replace(first, matched=matched)
    view = view.with_difference(_REST, request.filter_key, matching)
    if matched == request.limit:
        # The next page finds nothing more that matches, and goes on with the others.
        return replace(first, matched=matched, more=view.filtered_count(_REST) > 0)
    rest = _page_of_rest(view, prepared, ranking, matched)
    return Page(
        numbers=np.concatenate([first.numbers, rest.numbers]),
        distances=np.concatenate([first.distances, rest.distances]),
        more=rest.more,
        ties=None,
        rank_distances=np.concatenate([_ranks(first), _ranks(rest)]),
        matched=matched,
        is_rest=True,
    )


def _page_of_rest(view: IndexView, prepared: PreparedSearch, ranking: WeightedBits, matched: int) -> Page:
    request = prepared.request
    after = request.after if request.after is not None and request.after.is_rest else None
    rest = replace(request, limit=request.limit - matched, filter_key=_REST, after=after)
    return weighted_page_of(view, prepared.query, ranking, rest)


def _no_page() -> Page:
    return Page(np.empty(0, np.int64), np.empty(0, np.int64), more=False, ties=None, rank_distances=np.empty(0))


def _ranks(page: Page) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    assert page.rank_distances is not None  # noqa: S101 - pages by weighted bits have them
    return page.rank_distances


def refusal_naming_metadata(
    refusal: TextNotUnderstood | TextNotSupported, limits: SearchLimits, live: LiveCollection
) -> TextNotUnderstood | TextNotSupported:
    """Return the refusal of a text with how to look for its words in metadata, if the index can."""
    if live.record.is_remote:
        return refusal
    how = 'add "where": "metadata"'
    if limits.max_distance is not None or limits.min_score is not None:
        how = f"{how}, without max_distance and min_score,"
    if limits.rank is Rank.HAMMING:
        how = f"{how} and use rank auto"
    detail = f"{refusal.detail}; {how} to look for the words in the texts of metadata"
    return type(refusal)(detail, errors=refusal.errors)
