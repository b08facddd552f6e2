"""Bitmaps against plain lists of flags."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.index.bitmap import clear_count, clear_rows, grown, is_set, pack_flags, set_rows, unpack_flags

FLAGS = st.lists(st.booleans(), max_size=200).map(lambda flags: np.array(flags, np.bool_))


@settings(max_examples=100, deadline=None)
@given(FLAGS)
def test_flags_survive_packing_and_bits_past_them_are_set(flags):
    bitmap = pack_flags(flags)

    assert unpack_flags(bitmap, len(flags)).tolist() == flags.tolist()
    assert unpack_flags(bitmap, len(bitmap) * 64)[len(flags) :].all()
    assert clear_count(bitmap, len(flags)) == np.count_nonzero(~flags)


@settings(max_examples=100, deadline=None)
@given(FLAGS.filter(len), st.data())
def test_rows_are_set_and_cleared_alone(flags, data):
    rows = np.array(data.draw(st.lists(st.integers(0, len(flags) - 1), unique=True)), np.int64)
    bitmap = pack_flags(flags)

    set_rows(bitmap, rows)
    expected = flags.copy()
    expected[rows] = True
    assert unpack_flags(bitmap, len(flags)).tolist() == expected.tolist()
    assert is_set(bitmap, rows).all()

    clear_rows(bitmap, rows)
    expected[rows] = False
    assert unpack_flags(bitmap, len(flags)).tolist() == expected.tolist()


@pytest.mark.parametrize("rows", [64, 65, 1000])
def test_a_grown_bitmap_keeps_its_bits_and_sets_new_ones(rows):
    bitmap = pack_flags(np.zeros(64, np.bool_))

    larger = unpack_flags(grown(bitmap, rows), rows)

    assert not larger[:64].any()
    assert larger[64:].all()
