"""Pages of groups of near pictures are found by bisection among the groups of the collection."""

import numpy as np
import pytest

from app.services.searching.duplicates import _Grouping
from tests.fixtures.steps import steps_of


@pytest.mark.parametrize("after", [-1, 50_000, 99_998])
def test_a_page_of_groups_does_not_read_the_groups_before_it(after):
    groups = [np.array([number, number + 1]) for number in range(0, 100_000, 2)]

    # Bisection reads some seventeen of 50,000 groups.
    assert steps_of(lambda: _Grouping(groups, max_distance=24).following(after, 20)) < 100


@pytest.mark.parametrize(
    ("after", "shown", "next_after"), [(-1, [2, 5], 5), (2, [5, 9], None), (3, [5, 9], None), (9, [], None)]
)
def test_a_page_of_groups_starts_after_a_number(after, shown, next_after):
    look = _Grouping([np.array([2, 3]), np.array([5, 6]), np.array([9, 10])], max_distance=24)

    page, following = look.following(after, 2)

    assert ([int(group[0]) for group in page], following) == (shown, next_after)
