"""Every hash method on features of known structure."""

import numpy as np
import pytest
import torch

from app.learning.evaluation.retrieval import Labels, evaluate_codes, evaluate_features
from app.learning.nn.hash_layer import binarise
from app.learning.rotation import itq_rotation, principal_directions
from app.learning.training.features.extraction import apply_module
from app.learning.training.methods import diffusion
from app.learning.training.methods.base import TrainingSet
from app.learning.training.methods.few_shot import FewShot
from app.learning.training.methods.memory import keep_last
from app.learning.training.methods.neighbours import nearest_neighbours
from app.learning.training.methods.registry import METHODS, hash_method
from tests.oracles.hashing import quantisation_loss

pytestmark = pytest.mark.torch

FAST = {"epochs": 6, "batch": 64, "hidden": 32, "neighbours": 5}


def clusters(n=300, dim=24, kinds=6, noise=0.12, seed=0):
    """Unit-length features around random centres, and their kinds."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((kinds, dim))
    labels = rng.integers(0, kinds, n)
    features = centres[labels] / np.linalg.norm(centres[labels], axis=1, keepdims=True)
    features = features + noise * rng.standard_normal((n, dim))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features.astype(np.float32), labels


def method_of(name):
    known = METHODS[name].__dataclass_fields__
    return hash_method(name, **{key: value for key, value in FAST.items() if key in known})


def training_set():
    features, labels = clusters()
    rng = np.random.default_rng(1)
    views = features[None] + 0.05 * rng.standard_normal((2, *features.shape)).astype(np.float32)
    return TrainingSet(features, labels, views)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_makes_y_of_the_asked_length_and_the_same_one_for_the_same_seed(name):
    training = training_set()

    first = apply_module(method_of(name).fit(training, 16, seed=3), training.features)
    again = apply_module(method_of(name).fit(training, 16, seed=3), training.features)

    assert first.shape == (300, 16)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("name", sorted(METHODS.keys() - {"paper_layer"}))
def test_a_method_finds_the_kinds_of_clustered_features(name):
    training = training_set()
    layer = method_of(name).fit(training, 16, seed=0)
    u = apply_module(layer, training.features)
    labels = Labels(training.labels, training.labels)

    found = evaluate_codes(u, u, labels)

    chance = np.bincount(training.labels).max() / len(training.labels)
    assert found.figures.map_all > 2.5 * chance
    assert found.bits.distinct > 6


@pytest.mark.parametrize("name", METHODS)
def test_fitting_leaves_the_callers_random_numbers_alone(name):
    training = training_set()
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)

    method_of(name).fit(training, 8, seed=0)

    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.needs_labels])
def test_a_method_that_needs_labels_says_so(name):
    features, _ = clusters()

    with pytest.raises(ValueError, match="labels"):
        method_of(name).fit(TrainingSet(features), 8, seed=0)


def test_cibhash_without_views_says_so():
    features, _ = clusters()

    with pytest.raises(ValueError, match="views"):
        method_of("cibhash").fit(TrainingSet(features), 8, seed=0)


def test_itq_lowers_the_quantisation_loss_and_only_rotates():
    features, _ = clusters(noise=0.4)
    projected = (features - features.mean(axis=0))[:, :8].astype(np.float64)
    start, _ = np.linalg.qr(np.random.default_rng(5).standard_normal((8, 8)))

    rotation = itq_rotation(projected, 5, 30)

    np.testing.assert_allclose(rotation @ rotation.T, np.eye(8), atol=1e-10)
    assert quantisation_loss(projected, rotation) < quantisation_loss(projected, start)


@pytest.mark.parametrize(("rows", "dim"), [(200, 12), (40, 12), (40, 60)])
def test_principal_directions_are_those_of_the_covariance_for_few_rows_and_for_many(rows, dim):
    spread = np.random.default_rng(3).standard_normal((rows, 90)) * np.linspace(3, 1, 90)
    centred = spread - spread.mean(axis=0)

    variances, directions = principal_directions(centred, dim)

    covariance = np.cov(centred, rowvar=False, bias=True)
    assert directions.shape == (90, dim)
    np.testing.assert_allclose(variances, np.linalg.eigvalsh(covariance)[::-1][:dim], atol=1e-10)
    np.testing.assert_allclose(covariance @ directions, directions * variances, atol=1e-10)
    np.testing.assert_allclose(directions.T @ directions, np.eye(dim), atol=1e-10)
    assert (directions[np.abs(directions).argmax(axis=0), np.arange(dim)] > 0).all()


def test_neighbours_are_the_rows_of_largest_inner_product():
    features, _ = clusters(n=50)

    found = nearest_neighbours(features, 4)

    likeness = features @ features.T
    np.fill_diagonal(likeness, -np.inf)
    for row in range(50):
        assert set(found[row]) == set(np.argsort(-likeness[row])[:4])


def test_a_slow_function_of_features_is_computed_once_for_the_same_content_and_settings():
    features, _ = clusters(n=60)
    computed = []

    @keep_last
    def total(rows, power, *, sign=1):
        computed.append(power)
        return sign * (rows**power).sum(axis=1)

    first = total(features, 2)
    np.testing.assert_array_equal(total(features.copy(), 2), first)
    assert computed == [2]

    np.testing.assert_array_equal(total(features[::-1], 2), first[::-1])
    np.testing.assert_array_equal(total(features, 2, sign=-1), -first)
    total(features, 3)  # the fourth result takes the place of the first
    assert computed == [2, 2, 2, 3]
    total(features, 2, sign=-1)
    assert len(computed) == 4
    total(features, 2)
    assert len(computed) == 5


def test_diffusion_similarity_orders_neighbours_better_the_more_it_follows_the_features():
    features = clusters(n=200, kinds=3, noise=0.3, seed=9)[0]
    nearest = nearest_neighbours(features, 5)

    def share_of_nearest(local: float) -> float:
        method = hash_method("diffusion_similarity", local=local, epochs=60, batch=100, hidden=32)
        signs = np.sign(apply_module(method.fit(TrainingSet(features), 32, seed=0), features))
        similarity = signs @ signs.T - 64 * np.eye(len(signs))
        found = np.argsort(-similarity, axis=1, kind="stable")[:, :5]
        return float(np.mean([len(set(a) & set(b)) / 5 for a, b in zip(found, nearest, strict=True)]))

    assert share_of_nearest(0.0) < share_of_nearest(0.5) - 0.05


def test_codes_follow_a_teacher_who_tells_apart_kinds_that_the_features_mix():
    teacher, labels = clusters(n=240, kinds=4, noise=0.05, seed=3)
    features = 0.3 * teacher + clusters(n=240, dim=24, kinds=1, noise=0.2, seed=4)[0]
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    method = hash_method("diffusion_similarity", epochs=30, batch=120, hidden=32, local=0.5)

    def precision(taught_by):
        layer = method.fit(TrainingSet(features, teacher=taught_by), 16, seed=0)
        found = apply_module(layer, features)
        return evaluate_codes(found, found, Labels(labels, labels)).figures.map_all

    assert precision(teacher) > precision(None) + 0.1


def test_layers_of_several_lengths_share_one_embedding(monkeypatch):
    solved = []
    original = diffusion.eigsh
    monkeypatch.setattr(
        diffusion, "eigsh", lambda *args, **kwargs: solved.append(1) or original(*args, **kwargs)
    )
    features = clusters(n=80, seed=9)[0]

    for bits in (8, 16):
        method_of("diffusion_similarity").fit(TrainingSet(features), bits, seed=0)

    # Once to count the modes of the collection, once for its embedding.
    assert len(solved) == 2


def test_few_shot_guesses_most_kinds_from_a_few_labels_and_keeps_the_known_ones():
    features, labels = clusters()
    known = np.full(300, -1, dtype=np.int64)
    for kind in range(6):
        rows = np.flatnonzero(labels == kind)[:3]
        known[rows] = kind

    guessed = FewShot().guess(features, known)

    believed = guessed >= 0
    assert (guessed[known >= 0] == known[known >= 0]).all()
    assert (guessed[believed] == labels[believed]).mean() > 0.9
    assert 0.6 < believed.mean() < 0.85


def test_an_unknown_method_or_setting_is_named():
    with pytest.raises(ValueError, match="no hash method is called magic"):
        hash_method("magic")
    with pytest.raises(ValueError, match="itq has no setting colour"):
        hash_method("itq", colour=1)


def test_the_paper_layer_does_not_beat_the_features_it_hashes():
    training = training_set()
    labels = Labels(training.labels, training.labels)
    u = apply_module(method_of("paper_layer").fit(training, 16, seed=0), training.features)

    codes = evaluate_codes(u, u, labels).figures.map_all

    assert codes < evaluate_features(training.features, training.features, labels).figures.map_all


def test_a_code_is_the_sign_of_u_and_takes_the_gradient_of_tanh():
    u = torch.tensor([[-0.5, 0.0, 2.0]], requires_grad=True)

    y, code = binarise(u)
    code.sum().backward()

    assert code.tolist() == [[-1.0, 1.0, 1.0]]
    torch.testing.assert_close(y, torch.tanh(u))
    torch.testing.assert_close(u.grad, 1 - torch.tanh(u.detach()) ** 2)


@pytest.mark.parametrize(("groups", "size"), [(4, 100), (20, 20), (40, 10)])
def test_diffusion_similarity_suits_its_settings_to_the_groups_of_the_pictures(groups, size):
    rng = np.random.default_rng(groups)
    centres = rng.standard_normal((groups, 48))
    rows = centres[np.arange(groups * size) % groups] + 0.3 * rng.standard_normal((groups * size, 48))
    features = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    suited = hash_method("diffusion_similarity").suited_to(features)
    given = hash_method("diffusion_similarity", modes=7, neighbours=5, epochs=3).suited_to(features)

    # No fewer modes than groups, no more partners than a group has, and steps enough for so few pictures.
    assert groups <= suited.modes <= max(8, 2 * groups)
    assert 10 <= suited.neighbours <= max(10, size, 30)
    assert suited.epochs == 200
    assert (given.modes, given.neighbours, given.epochs) == (7, 5, 3)


def test_a_checkpoint_of_another_fit_is_not_resumed(tmp_path):
    features = np.random.default_rng(0).standard_normal((60, 16)).astype(np.float32)
    method, checkpoint = hash_method("similarity", epochs=2), tmp_path / "state"
    method.fit(TrainingSet(features, checkpoint=checkpoint), 16, seed=1)

    other = method.fit(TrainingSet(features[::-1].copy(), checkpoint=checkpoint), 16, seed=1)
    alone = method.fit(TrainingSet(features[::-1].copy()), 16, seed=1)

    inputs = torch.from_numpy(features)
    assert torch.equal(other(inputs), alone(inputs))
