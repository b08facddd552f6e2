"""Group pictures around centres: each picture of a group is near its centre, so that chains do not grow."""

import numpy as np
from numpy.typing import NDArray

Nodes = NDArray[np.int64]


def stars(count: int, first: Nodes, second: Nodes, weights: Nodes) -> list[Nodes]:
    """Return disjoint groups of nodes, each of a centre and nodes that are joined with it.

    The node with most neighbours becomes the first centre, of equal ones the first; then the next among those
    that are left.

    Args:
        count: Number of nodes.
        first: One node of each pair, shape (p,); no pair occurs twice.
        second: The other node of each pair.
        weights: Number of pictures of each node, shape (count,).

    Returns:
        Ascending nodes of each group of at least two, in no order.
    """
    ends, others = np.concatenate([first, second]), np.concatenate([second, first])
    order = np.argsort(ends, kind="stable")
    neighbours = others[order]
    starts = np.searchsorted(ends[order], np.arange(count + 1))
    degrees = np.bincount(ends, weights=weights[others], minlength=count)
    centres = np.lexsort((np.arange(count), -degrees))
    is_free = np.ones(count, np.bool_)
    groups = []
    for centre in centres[: int((degrees > 0).sum())].tolist():
        if not is_free[centre]:
            continue
        near = neighbours[starts[centre] : starts[centre + 1]]
        near = near[is_free[near]]
        if len(near):
            group = np.sort(np.append(near, centre))
            is_free[group] = False
            groups.append(group)
    return groups
