"""Answers that msgspec encodes say what the standard library's would."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.json_response import FastJSONResponse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_every_value_comes_back_as_it_was(value):
    assert json.loads(FastJSONResponse(value).body) == value


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**40, 1e16, 5e-324, -0.0, 1.0])
def test_numbers_keep_their_kind_and_value(value):
    found = json.loads(FastJSONResponse(value).body)

    assert (type(found), repr(found)) == (type(value), repr(value))


def test_tuples_are_lists_and_keys_keep_their_order():
    assert FastJSONResponse({"b": (1, "é"), "a": None}).body == '{"b":[1,"é"],"a":null}'.encode()
