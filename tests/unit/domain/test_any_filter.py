"""Any JSON is a filter or an invalid one, and no other error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidFilter
from app.domain.filters import Filter, parse_filter

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
CONDITIONS = st.dictionaries(
    st.sampled_from(["key", "match", "range", "other"]),
    VALUES | st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte", "eq"]), VALUES, max_size=3),
    max_size=4,
)
LISTS = st.lists(CONDITIONS | VALUES, max_size=40) | VALUES
DOCUMENTS = VALUES | st.dictionaries(st.sampled_from(["must", "must_not", "should"]), LISTS, max_size=3)


@pytest.mark.slow
@given(DOCUMENTS)
def test_any_document_is_a_filter_or_an_invalid_one(document):
    pointers = []
    try:
        assert isinstance(parse_filter(document), Filter)
    except InvalidFilter as error:
        pointers = [one.pointer for one in error.errors] or ["none"]
    assert all(pointer.startswith("/filter") for pointer in pointers)
