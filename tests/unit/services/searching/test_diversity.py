"""Results that are relevant and differ from each other, against the definition written out."""

import numpy as np
import pytest

from app.services.searching.diversity import diverse_order

N = 12


def by_definition(values, distances, weight, returned):
    left, taken, order = set(range(N)) - set(returned), list(returned), []
    while left:

        def score(i):
            far = min((distances[i, j] for j in taken), default=0.0)
            return round((1 - weight) * values[i] - weight * far, 9), values[i], i

        best = min(left, key=score)
        order.append(best)
        taken.append(best)
        left.remove(best)
    return order


@pytest.mark.parametrize("weight", [0, 0.3, 0.7, 1])
@pytest.mark.parametrize("returned", [[], [4, 2]])
def test_each_step_takes_the_best_by_the_definition(weight, returned):
    points = np.random.default_rng(7).normal(size=(N, 3))
    points[5] = points[6] = points[7]
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    values = distances[0]
    mask = np.isin(np.arange(N), returned)

    def order(is_returned, count):
        return diverse_order(
            values, np.arange(N), is_returned, lambda i: distances[i], weight=weight, count=count
        ).tolist()

    assert order(mask, N) == by_definition(values, distances, weight, returned)
    assert order(mask, 3) == order(mask, N)[:3]


def test_pages_continue_the_order():
    points = np.random.default_rng(8).normal(size=(N, 2))
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    whole, paged = [], []
    for target, size in ((whole, N), (paged, 5)):
        while len(target) < N:
            returned = np.isin(np.arange(N), target)
            found = diverse_order(
                distances[0], np.arange(N), returned, lambda i: distances[i], weight=0.5, count=size
            )
            target.extend(found.tolist())

    assert paged == whole
