"""WordNet features against the sums that they stand for."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from app.learning.nn.encoders.efficientnet_lite import published_classifier  # noqa: E402 - torch may be missing
from app.learning.nn.encoders.paper import PaperEncoder  # noqa: E402
from app.learning.nn.preparation import FeaturePreparation  # noqa: E402
from app.learning.nn.wordnet import TEMPERATURE, WordnetFeatures, WordnetPreparation, noun_members  # noqa: E402
from app.learning.training.frozen_encoder.layers import fit_hashing_model  # noqa: E402
from app.learning.training.methods.itq import Itq  # noqa: E402
from app.learning.training.own_model import TrainingRequest, train_own_model  # noqa: E402
from app.learning.training.recipe import ArtifactSpec, Preprocessing, Recipe  # noqa: E402
from app.words.vocabulary import vocabulary  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def classifier():
    return published_classifier("efficientnet_lite0")


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(0).gamma(0.5, 0.5, (40, 1280)).astype(np.float32)


def column_of(word):
    words = vocabulary()
    return sorted(words.below).index(words.senses[word][0].synset)


def test_a_noun_stands_for_itself_and_for_every_class_below_it():
    members, names = noun_members(), vocabulary().class_names

    assert members.shape[0] == 1000
    assert members.any(axis=0).all()
    dogs = {names[i] for i in np.flatnonzero(members[:, column_of("dog")])}
    assert {"Chihuahua", "Golden Retriever"} <= {name.title() for name in dogs}
    assert len(dogs) > 100
    assert members[:, column_of("vehicle")].sum() > members[:, column_of("truck")].sum() > 1
    assert not (members[:, column_of("dog")] & members[:, column_of("vehicle")]).any()


def test_the_root_of_a_nouns_probability_is_that_of_the_sum_over_its_classes(classifier, features):
    weight, bias = classifier
    logits = (features[0].astype(np.float64) @ weight.T + bias) / TEMPERATURE
    chances = np.exp(logits - logits.max())
    chances /= chances.sum()
    truck = noun_members()[:, column_of("truck")] == 1

    roots = WordnetFeatures(weight, bias).roots(torch.from_numpy(features[:1]))[0]

    assert roots[column_of("truck")].item() == pytest.approx(np.sqrt(chances[truck].sum()), rel=1e-4)
    assert roots.max().item() == pytest.approx(1, abs=1e-5)  # of the noun above all classes


def test_pictures_of_unsure_classes_are_alike_if_the_classes_share_a_noun(classifier):
    weight, bias = np.eye(1000, dtype=np.float32), np.zeros(1000, np.float32)
    trucks = np.flatnonzero(noun_members()[:, column_of("truck")])
    dogs = np.flatnonzero(noun_members()[:, column_of("dog")])
    sure = torch.from_numpy(60 * np.eye(1000, dtype=np.float32))

    meaning = WordnetFeatures(weight, bias)(sure)

    within = (meaning[trucks[0]] @ meaning[trucks[1]]).item()
    across = (meaning[trucks[0]] @ meaning[dogs[0]]).item()
    assert within > across + 0.1
    assert meaning.norm(dim=1).numpy() == pytest.approx(1, abs=1e-5)


def test_joined_features_are_centred_of_unit_length_and_store_no_classifier(classifier, features):
    visual = FeaturePreparation.fit(features, 16, whiten=0.0)
    joined = WordnetPreparation(visual, WordnetFeatures(*classifier).fit(features), 0.5, 16).fit(features)

    prepared = joined(torch.from_numpy(features)).numpy()
    plain = joined._joined(torch.from_numpy(features)).numpy()

    assert prepared.shape == (40, 16)
    assert np.linalg.norm(prepared, axis=1) == pytest.approx(1, abs=1e-5)
    assert joined.mean.numpy() == pytest.approx(plain.mean(axis=0), abs=1e-6)
    projected = (plain - plain.mean(axis=0)) @ joined.projection.numpy()
    variances = projected.var(axis=0)
    assert (np.diff(variances) <= 1e-8).all()
    assert {"meaning.mean", "projection"} <= joined.state_dict().keys()
    assert not {"meaning.weight", "meaning.bias", "meaning.members"} & joined.state_dict().keys()


def recipe(encoder, wordnet):
    spec = ArtifactSpec("mine", "Mine.", 16, Itq(iterations=3))
    return Recipe((spec,), encoder, Preprocessing(32), prepared_dim=24, wordnet=wordnet)


def test_a_recipe_with_wordnet_fits_its_layers_to_joined_features(features):
    class Named(torch.nn.Identity):
        name = "efficientnet_lite0"

    with_words, _ = fit_hashing_model(recipe("efficientnet_lite0", 0.5), Named(), features)
    without, _ = fit_hashing_model(recipe("efficientnet_lite0", 0.0), Named(), features)

    assert isinstance(with_words.preparation, WordnetPreparation)
    assert isinstance(without.preparation, FeaturePreparation)
    (y,) = with_words(torch.from_numpy(features))
    (other,) = without(torch.from_numpy(features))
    assert y.shape == other.shape == (40, 16)
    assert not torch.equal(y >= 0, other >= 0)


def test_an_encoder_without_imagenets_classes_is_refused():
    features = np.random.default_rng(1).standard_normal((40, 128)).astype(np.float32)

    with pytest.raises(ValueError, match="WordNet features need an EfficientNet-Lite encoder, not paper"):
        fit_hashing_model(recipe("paper", 0.5), PaperEncoder(), features)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"wordnet": float("nan")}, "a number from 0 to 2"),
        ({"wordnet": -0.5}, "a number from 0 to 2"),
        ({"wordnet": 0.5, "method": "autoencoder"}, "WordNet features need a pretrained encoder"),
    ],
)
def test_a_training_that_cannot_use_the_weight_is_refused_before_it_begins(tmp_path, options, said):
    with pytest.raises(ValueError, match=said):
        train_own_model(TrainingRequest("mine", **options), None, tmp_path)
