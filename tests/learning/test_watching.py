"""Epochs are told of as they end, and a fit that is killed ends as one that was not."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from app.learning.training.methods.base import TrainingSet
from app.learning.training.methods.registry import METHODS, hash_method
from app.learning.training.monitoring.epochs import HeldOutSet

pytestmark = pytest.mark.torch

GRADIENT = sorted(name for name, method in METHODS.items() if "epochs" in method.__dataclass_fields__)


class Killed(Exception):
    """As if the process had died after an epoch."""


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((4, 24)) * 2
    return (centres[np.arange(80) % 4] + rng.standard_normal((80, 24))).astype(np.float32)


@pytest.mark.parametrize("name", GRADIENT)
def test_a_fit_killed_after_any_epoch_goes_on_to_the_same_layer(name, features, tmp_path):
    labels = np.arange(80) % 4
    views = np.stack([features + noise for noise in (0.05, -0.05)]).astype(np.float32)
    method = hash_method(name, epochs=4, batch=32)
    told = []
    whole = method.fit(TrainingSet(features, labels, views, on_epoch=lambda *a: told.append(a[:3])), 16, seed=1)

    resumed = []

    def die_at_first(epoch, epochs, loss, layer):
        resumed.append((epoch, epochs, loss))
        raise Killed

    checkpoint = tmp_path / "state"
    for _ in range(4):
        with pytest.raises(Killed):
            method.fit(
                TrainingSet(features, labels, views, checkpoint=checkpoint, on_epoch=die_at_first), 16, seed=1
            )
    again = method.fit(TrainingSet(features, labels, views, checkpoint=checkpoint), 16, seed=1)

    assert resumed == told
    inputs = torch.from_numpy(features)
    assert torch.equal(whole(inputs), again(inputs))


def test_figures_of_an_epoch_are_those_of_its_codes():
    gallery = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]] * 4, np.float32)
    labels = np.arange(16) % 4
    held_out = HeldOutSet(gallery, gallery[:4], labels, labels[:4])

    perfect = held_out.measure(lambda x: np.repeat(x, 4, axis=1), epoch=1, epochs=2, loss=0.5)
    collapsed = held_out.measure(lambda x: np.ones((len(x), 8), np.float32), epoch=2, epochs=2, loss=0.1)

    assert (perfect.held_out_map, perfect.distinct, perfect.balance) == (1.0, 4, 0.0)
    assert (collapsed.distinct, collapsed.balance) == (1, 1.0)
    assert collapsed.held_out_map < 0.5
