"""Pictures without a code are counted as they come and go, not when a search asks."""

from collections.abc import Callable
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from app.domain.collections import CollectionRecord, Keeps
from app.index.collection_index import CollectionIndex
from app.services.index_sync.live_collection import LiveCollection
from app.services.index_sync.missing_pictures import MissingPictures
from app.services.searching.answers import searched_index
from tests.fixtures.steps import steps_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NUMBERS = st.lists(st.integers(0, 9), max_size=6)


def described(missing: int) -> Callable[[], object]:
    """Describe the index of a search, with so many pictures that have no code, a third of them failed."""
    record = CollectionRecord(
        pk=1,
        name="c",
        model="m",
        previous_model=None,
        keeps=Keeps.COPIES,
        description=None,
        created_at=NOW,
        updated_at=NOW,
    )
    live = LiveCollection(record, CollectionIndex(64), "digest")
    live.missing = MissingPictures({n: None if n % 3 else "damaged_image" for n in range(missing)})
    return lambda: searched_index(live, live.index.view(), None)


def test_a_search_takes_as_many_steps_however_many_pictures_have_no_code():
    assert steps_of(described(30_000)) == steps_of(described(3))


def test_a_search_counts_the_pictures_without_a_code():
    index = described(30)()

    assert (index.pending, index.failed) == (20, 10)


@given(st.lists(st.tuples(st.sampled_from(["add", "fail", "remove"]), NUMBERS), max_size=8))
def test_counts_agree_with_a_dictionary_of_reasons(changes):
    reasons: dict[int, str | None] = {0: None, 1: "damaged_image", 2: None, 3: "fetch_failed"}
    missing = MissingPictures(reasons)
    expected = dict(reasons)

    for kind, numbers in changes:
        if kind in {"add", "fail"}:
            # Every second one is tried.
            tried = {number: "not_an_image" for number in numbers if kind == "fail" and number % 2}
            missing.add(numbers, tried)
            expected |= dict.fromkeys(numbers) | tried
        else:
            missing.remove(numbers)
            for number in numbers:
                expected.pop(number, None)

    failed = sum(reason is not None for reason in expected.values())
    assert (len(missing), missing.failed, missing.pending) == (len(expected), failed, len(expected) - failed)
