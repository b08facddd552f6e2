"""Class weights against the arithmetic that they stand for, and against the sources of the shipped models."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.numpy import load_file  # noqa: E402 - torch is missing where training is not installed

from app.encoding.artifact import WEIGHTS, load_artifact, read_class_weights  # noqa: E402
from app.learning.nn.encoders.efficientnet_lite import EfficientNetLite, classifier_weights  # noqa: E402
from app.learning.nn.hash_layer import LinearHash, MlpHash  # noqa: E402
from app.learning.nn.model import HashingModel  # noqa: E402
from app.learning.nn.preparation import FeaturePreparation  # noqa: E402
from app.learning.training.artifacts.class_weights import (  # noqa: E402
    class_weights,
    model_class_weights,
    regressed_class_weights,
)
from app.settings import Settings  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("name", ["lite2-256", "lite2-64", "lite0-256"])
def test_shipped_class_weights_are_those_of_the_encoders_package(name):
    artifact = load_artifact(Settings().models.artifacts_dir / name)
    tensors = load_file(artifact.folder / WEIGHTS)
    rotation = tensors[f"hash_layers.{artifact.manifest.y_output}.weight"]
    classifier = classifier_weights(artifact.manifest.training["encoder"])

    found = class_weights(classifier, tensors["preparation.mean"], tensors["preparation.projection"], rotation)

    assert np.array_equal(read_class_weights(artifact), found.astype(np.float16).astype(np.float32))


def test_class_weights_follow_the_classifier_around_the_mean():
    rng = np.random.default_rng(0)
    classifier = rng.standard_normal((5, 40)).astype(np.float32)
    mean = rng.uniform(0.1, 0.3, 40).astype(np.float32)
    # With all directions kept and a rotation, y loses nothing of the rooted features.
    projection, rotation = (np.linalg.qr(rng.standard_normal((40, 40)))[0].astype(np.float32) for _ in range(2))
    rooted = mean + 1e-3 * rng.standard_normal((30, 40))

    weights = class_weights(classifier, mean, projection, rotation)

    scores = (rooted - mean) @ projection @ rotation @ weights.T
    logits = (rooted**2 - mean**2) @ classifier.T
    assert 2 * scores == pytest.approx(logits - logits.mean(axis=1, keepdims=True), abs=2e-4)


def test_every_layer_on_an_encoder_with_classes_has_class_weights():
    encoder, preparation = EfficientNetLite(0), FeaturePreparation(1280, 16)
    layers = {"y8": LinearHash(16, 8), "y16": MlpHash(16, 16).eval()}
    model = HashingModel(encoder, preparation, layers)
    features = np.random.default_rng(0).random((40, 1280), dtype=np.float32)

    assert model_class_weights(model, "y8", features).shape == (1000, 8)
    assert model_class_weights(model, "y16", features).shape == (1000, 16)
    encoder.name = "another"
    assert model_class_weights(model, "y8", features) is None


def test_regressed_class_weights_rank_pictures_of_a_class_first():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 5
    centres = rng.random((5, 30)).astype(np.float32)
    features = centres[labels] + 0.05 * rng.standard_normal((200, 30)).astype(np.float32)
    y = (features - features.mean(axis=0)) @ rng.standard_normal((30, 64)).astype(np.float32)

    weights = regressed_class_weights(centres - centres.mean(axis=0), features, y)

    scores = np.sign(y) @ weights.T  # (pictures, classes)
    for label in range(5):
        first = np.argsort(-scores[:, label])[:20]
        assert (labels[first] == label).mean() > 0.9
