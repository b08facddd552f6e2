"""Losses against their formulas, written as loops."""

import math

import numpy as np
import pytest
import torch

from app.learning.nn import losses

pytestmark = pytest.mark.torch


def rows(seed, n=5, bits=4):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, bits)))


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def test_info_nce_asks_each_row_for_its_partner_among_all_others():
    a, b = rows(0), rows(1)
    every, n = torch.cat([a, b]), 5
    expected = 0.0
    for i in range(2 * n):
        partner = (i + n) % (2 * n)
        others = [math.exp(cosine(every[i], every[j]) / 0.3) for j in range(2 * n) if j != i]
        expected -= math.log(math.exp(cosine(every[i], every[partner]) / 0.3) / sum(others)) / (2 * n)

    assert losses.info_nce(a, b, 0.3).item() == pytest.approx(expected)


def test_similarity_cross_entropy_weighs_every_other_row_by_its_share_of_the_targets():
    z, targets = rows(6), rows(7, bits=5).abs()
    expected = 0.0
    for i in range(5):
        others = [j for j in range(5) if j != i]
        total = sum(math.exp(cosine(z[i], z[j]) / 0.2) for j in others)
        wanted = sum(float(targets[i, j]) for j in others)
        for j in others:
            share = float(targets[i, j]) / wanted
            expected -= share * math.log(math.exp(cosine(z[i], z[j]) / 0.2) / total) / 5

    assert losses.similarity_cross_entropy(z, targets, 0.2).item() == pytest.approx(expected)


def test_supervised_contrast_averages_over_partners_and_leaves_out_rows_without_one():
    z, labels = rows(2, n=6), [0, 0, 0, 1, -1, -1]
    terms = []
    for i, label in enumerate(labels):
        partners = [j for j in range(6) if j != i and label >= 0 and labels[j] == label]
        if partners:
            total = sum(math.exp(cosine(z[i], z[j]) / 0.5) for j in range(6) if j != i)
            terms.append(
                -sum(math.log(math.exp(cosine(z[i], z[j]) / 0.5) / total) for j in partners) / len(partners)
            )

    found = losses.supervised_contrast(z, torch.tensor(labels), 0.5)

    assert found.item() == pytest.approx(sum(terms) / len(terms))


def test_supervised_contrast_without_any_pair_is_nothing_to_learn_from():
    z = rows(3).requires_grad_()

    loss = losses.supervised_contrast(z, torch.tensor([0, 1, 2, 3, -1]), 0.5)
    loss.backward()

    assert loss.item() == 0
    assert not z.grad.any()


def test_balance_and_decorrelation_vanish_for_balanced_independent_bits():
    every = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])

    assert losses.balance(every).item() == 0
    assert losses.decorrelation(every).item() == 0
    assert losses.balance(every.abs()).item() == 1
    assert losses.decorrelation(every.abs()).item() == 1


def test_quantisation_moves_y_and_not_the_code():
    y = torch.tensor([[0.5, -0.5]], requires_grad=True)
    code = torch.tensor([[1.0, -1.0]], requires_grad=True)

    losses.quantisation(y, code).backward()

    assert y.grad.tolist() == [[-0.5, 0.5]]
    assert code.grad is None
