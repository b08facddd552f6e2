"""Numbers are equal and ordered by exact value; ``Fraction`` is the oracle."""

import sys
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from app.domain.numbers import canonical, in_range, order_key

LARGEST = int(sys.float_info.max)
NUMBERS = st.one_of(
    st.integers(-LARGEST, LARGEST),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.builds(lambda n, d: n + d, st.integers(50, 1023).map(lambda e: 2**e), st.integers(-3, 3)),
    st.integers(-3, 3),
)


@given(NUMBERS, NUMBERS)
@example(2**53, 2**53 + 1)
@example(2**53 + 1, float(2**53))
@example(0, -0.0)
@example(5e-324, 0)
@example(-5e-324, -0.0)
@example(LARGEST, LARGEST - 1)
@example(-LARGEST, 1 - LARGEST)
@example(10**23, 1e23)
def test_keys_are_ordered_as_the_numbers_are(one, other):
    exact, other_exact = Fraction(one), Fraction(other)

    assert (order_key(one) < order_key(other)) == (exact < other_exact)
    assert (order_key(one) == order_key(other)) == (exact == other_exact)
    assert (repr(canonical(one)) == repr(canonical(other))) == (exact == other_exact)
    assert Fraction(canonical(one)) == exact


def test_a_key_of_a_double_takes_eight_bytes():
    assert {len(order_key(n)) for n in (0, -1.5, 2**53, 1e308, sys.float_info.max)} == {8}


def test_range_ends_at_the_largest_double():
    assert [in_range(n) for n in (LARGEST, -LARGEST, sys.float_info.max)] == [True] * 3
    assert [in_range(n) for n in (LARGEST + 1, -LARGEST - 1, float("inf"), float("nan"))] == [False] * 4
