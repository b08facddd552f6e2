"""Hashing methods the slow way, from their formulas."""

import numpy as np


def quantisation_loss(projected, rotation):
    """‖sign(VR) − VR‖²: what iterative quantisation lowers in each of its steps."""
    rotated = projected @ rotation
    return float(((np.where(rotated >= 0, 1.0, -1.0) - rotated) ** 2).sum())


def bit_balance(signs):
    """Mean over bits of |mean sign|: 0 where every bit is set in half of the pictures."""
    n, bits = len(signs), len(signs[0])
    return sum(abs(sum(row[j] for row in signs)) / n for j in range(bits)) / bits


def bit_correlation(signs):
    """Mean |Pearson correlation| over pairs of different bits; a constant bit correlates with none."""
    n, bits = len(signs), len(signs[0])
    columns = [[row[j] for row in signs] for j in range(bits)]
    total, pairs = 0.0, 0
    for a in range(bits):
        for b in range(a + 1, bits):
            total += abs(_pearson(columns[a], columns[b], n))
            pairs += 1
    return total / pairs


def _pearson(a, b, n):
    mean_a, mean_b = sum(a) / n, sum(b) / n
    covariance = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    spread = (sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b)) ** 0.5
    return covariance / spread if spread else 0.0


def collision_rate(signs):
    """Share of pictures whose code another picture has too."""
    rows = [tuple(row) for row in signs]
    return sum(rows.count(row) > 1 for row in rows) / len(rows)
