"""The research wing by command, on a small folder of drawn pictures."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import fields
from inspect import signature
from itertools import groupby, islice

import numpy as np
import pytest
from typer.testing import CliRunner

from app.api.schemas.models import Train
from app.cli.main import app
from app.cli.models.training import train
from app.encoding.artifact import load_artifact, read_class_weights
from app.encoding.encoder import OnnxEncoder
from app.learning.training.frozen_encoder import trunks
from app.learning.training.methods.gradient import _TrainingState
from app.learning.training.own_model import TrainingRequest
from app.samples import Sample, samples
from app.settings import Settings
from tests.fixtures.shallow_encoder import use_shallow_encoder

# torch.export touches deprecated corners of itself.
pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.filterwarnings("ignore:::torch|onnx|copyreg")]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """The data folder of all tests here, so that pictures are encoded once."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def lookalike(tmp_path, data_dir, monkeypatch):
    """Runs the command with a folder of artifacts of the test's own.

    Encoders are calibrated on a few pictures: on all of them it would take most of the time.
    """
    monkeypatch.setenv("LOOKALIKE_ARTIFACTS_DIR", str(tmp_path))
    monkeypatch.setenv("LOOKALIKE_DATA_DIR", str(data_dir))
    monkeypatch.setattr(trunks, "CALIBRATION_PICTURES", 8)

    def run(*arguments, status=0):
        done = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
        assert done.exit_code == status, done.output
        return done

    return run


@pytest.fixture
def shallow_encoder(monkeypatch):
    """For tests that are not about the encoder."""
    use_shallow_encoder(monkeypatch)


N_KINDS = 10


def samples_of_kinds(per_kind: int) -> Iterator[tuple[str, int, bytes]]:
    """Kind, number within the kind and JPEG of shipped samples of some kinds."""
    drawn = sorted((sample for sample in samples() if sample.file.startswith("drawn/")), key=_kind)
    for kind, group in islice(groupby(drawn, key=_kind), N_KINDS):
        for number, sample in enumerate(islice(group, per_kind)):
            yield kind, number, sample.read()


def _kind(sample: Sample) -> str:
    return sample.metadata["label"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Samples as a folder of ``<kind>/<picture>``."""
    root = tmp_path_factory.mktemp("gallery")
    for kind, number, jpeg in samples_of_kinds(4):
        folder = root / kind
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(jpeg)
    return root


@pytest.mark.usefixtures("shallow_encoder")
def test_a_model_is_trained_on_a_folder_and_evaluated(lookalike, pictures, tmp_path):
    made = lookalike(
        "train", pictures, "--name", "mine", "--bits", 16, "--encoder", "efficientnet_lite0", "--seed", 3,
        "--method", "itq", "--set", "iterations=7",
    )  # fmt: skip
    figures = json.loads(lookalike("evaluate", "mine", pictures, "--json").stdout)

    artifact = load_artifact(tmp_path / "mine")
    assert made.stdout.split() == ["mine", artifact.digest]
    assert (figures["model"], figures["digest"], figures["code_length"]) == ("mine", artifact.digest, 16)
    assert 0.3 < figures["map_worst"] <= figures["map_all"] <= figures["map_best"] <= 1
    protocol = figures["protocol"]
    assert protocol["queries"] + protocol["gallery"] == len(list(pictures.rglob("*.jpg")))
    assert (protocol["training_seed"], protocol["split_seed"]) == (3, "nothing is drawn")
    assert artifact.manifest.metrics[0]["protocol"] == protocol
    assert artifact.manifest.training["settings"] == {"iterations": 7}
    assert protocol["queries_sha256"] in (artifact.folder / "README.md").read_text()


@pytest.fixture(scope="module")
def partly_labelled(tmp_path_factory):
    """Three labelled pictures of each kind; the others lie below ``rest``."""
    root = tmp_path_factory.mktemp("partly")
    for kind, number, jpeg in samples_of_kinds(6):
        folder = root / (kind if number < 3 else f"rest/{kind}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(jpeg)
    return root


def test_the_papers_encoder_learns_from_unlabelled_pictures_too(lookalike, partly_labelled, tmp_path):
    lookalike(
        "train", partly_labelled, "--name", "own", "--encoder", "paper", "--method", "autoencoder",
        "--bits", 32, "--epochs", 1, "--patience", 1, "--unlabelled", "rest",
    )  # fmt: skip

    trained = load_artifact(tmp_path / "own").manifest.training["data"]
    assert [data["part"] for data in trained] == ["gallery", "unlabelled"]


@pytest.mark.usefixtures("shallow_encoder")
@pytest.mark.parametrize("method", ["semi_supervised", "few_shot"])
def test_labels_of_some_pictures_are_learned_from_with_the_rest(lookalike, partly_labelled, tmp_path, method):
    lookalike(
        "train", partly_labelled, "--name", "some", "--method", method, "--bits", 32, "--epochs", 4,
        "--encoder", "efficientnet_lite0", "--unlabelled", "rest",
    )  # fmt: skip
    evaluated = lookalike("evaluate", "some", partly_labelled, "--unlabelled", "rest", "--json")
    figures = json.loads(evaluated.stdout)

    artifact = load_artifact(tmp_path / "some")
    unlabelled = len(list((partly_labelled / "rest").rglob("*.jpg")))
    labelled = len(list(partly_labelled.rglob("*.jpg"))) - unlabelled
    gallery, more = artifact.manifest.training["data"]
    assert (more["part"], more["pictures"]) == ("unlabelled", unlabelled)
    # Nothing is measured on pictures whose kind is not known.
    protocol = figures["protocol"]
    assert (protocol["gallery"], protocol["gallery"] + protocol["queries"]) == (gallery["pictures"], labelled)
    assert artifact.manifest.metrics[0]["protocol"] == protocol
    assert figures["map_all"] > 0.5


def test_the_papers_encoder_is_trained_from_pictures_and_tells_each_epoch(
    lookalike, pictures, tmp_path, data_dir
):
    made = lookalike(
        "train", pictures, "--name", "own", "--encoder", "paper", "--method", "contrast", "--bits", 32,
        "--epochs", 3, "--patience", 3,
    )  # fmt: skip

    artifact = load_artifact(tmp_path / "own")
    assert made.stdout.split() == ["own", artifact.digest]
    assert [line.split(":")[0] for line in made.stderr.splitlines() if line.startswith("epoch")] == [
        "epoch 1 of 3",
        "epoch 2 of 3",
        "epoch 3 of 3",
    ]
    assert "held-out mAP" in made.stderr
    assert artifact.manifest.training["method"] == "contrast"
    assert list((data_dir / "training").iterdir()) == []


def test_features_of_any_origin_are_hashed_and_measured(lookalike, tmp_path):
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((4, 20))
    for part, count in (("gallery", 200), ("queries", 20)):
        labels = np.arange(count) % 4
        rows = centres[labels] + 0.3 * rng.standard_normal((count, 20))
        np.save(tmp_path / f"{part}.npy", rows.astype(np.float32))
        np.save(tmp_path / f"{'gallery' if part == 'gallery' else 'query'}_labels.npy", labels)

    figures = json.loads(lookalike("research", "features", tmp_path, "--bits", 16).stdout)

    assert figures["float_features"]["map_all"] > 0.95
    assert figures["codes"]["map_all"] > 0.9
    assert (figures["method"], figures["code_length"]) == ("itq", 16)
    protocol = figures["protocol"]
    assert (protocol["queries"], protocol["queries_in_gallery"], protocol["training_seed"]) == (20, 0, 0)
    assert protocol["gallery_sha256"] != protocol["queries_sha256"]


SHIPPED = Settings().models.artifacts_dir / "lite0-256"


@pytest.fixture
def beside_shipped(lookalike, tmp_path, monkeypatch):
    """The command, where a model with the encoder is shipped and in use."""
    shutil.copytree(SHIPPED, tmp_path / SHIPPED.name)
    monkeypatch.setenv("LOOKALIKE_DEFAULT_MODEL", SHIPPED.name)
    return lookalike


def test_a_model_keeps_the_shipped_descriptor_and_is_compared_with_the_model_in_use(
    beside_shipped, flat, tmp_path
):
    made = beside_shipped("train", flat, "--name", "mine", "--encoder", "efficientnet_lite0")

    mine, shipped = (load_artifact(tmp_path / name) for name in ("mine", SHIPPED.name))
    encoders = [OnnxEncoder(artifact) for artifact in (mine, shipped)]
    batch = encoders[0].prepare(shipped.canary.pixels)[np.newaxis]
    own, other = (encoder.encode(batch) for encoder in encoders)
    assert np.array_equal(own.descriptor, other.descriptor)
    assert mine.manifest.training["descriptor_of"] == {"name": shipped.name, "digest": shipped.digest}
    # It can be searched by words.
    assert read_class_weights(mine).shape == (1000, mine.bits)
    compared = mine.manifest.calibration["comparison"]
    assert (compared["against"], compared["digest"]) == (shipped.name, shipped.digest)
    assert "descriptors of lite0-256" in compared["kinds"]["relevant"]
    copies = compared["copies"]
    assert copies["queries"] == 400
    # By the same descriptors both models find copies equally well.
    assert copies["new"]["recall_at_1_by_descriptor"] == copies["old"]["recall_at_1_by_descriptor"] > 0.9
    assert copies["verdict"] in {"better", "no clear difference"}
    assert f"kinds: {compared['kinds']['verdict']}" in made.stderr
    assert "Better or worse than lite0-256" in (mine.folder / "README.md").read_text()


def test_a_killed_fit_on_a_frozen_encoder_resumes_from_its_last_epoch(
    beside_shipped, flat, tmp_path, data_dir, monkeypatch
):
    class Killed(BaseException):
        """Stands for SIGKILL."""

    run_epoch, epochs = _TrainingState.run_epoch, []

    def run_and_count(self, *arguments):
        if len(epochs) == 2:
            raise Killed
        epochs.append(run_epoch(self, *arguments))
        return epochs[-1]

    monkeypatch.setattr(_TrainingState, "run_epoch", run_and_count)
    command = ("train", flat, "--name", "mine", "--encoder", "efficientnet_lite0", "--method", "similarity",
               "--epochs", 3, "--bits", 16)  # fmt: skip
    with pytest.raises(Killed):
        beside_shipped(*command)
    assert len(list((data_dir / "training").iterdir())) == 1

    epochs.clear()
    beside_shipped(*command)

    assert len(epochs) == 1
    assert list((data_dir / "training").iterdir()) == []


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """Forty pictures in one folder, without kinds."""
    root = tmp_path_factory.mktemp("flat")
    for i, (_, _, jpeg) in enumerate(samples_of_kinds(4)):
        (root / f"{i:02}.jpg").write_bytes(jpeg)
    return root


@pytest.mark.usefixtures("shallow_encoder")
def test_a_folder_without_kinds_is_trained_on_and_evaluated_by_edited_copies(
    lookalike, flat, tmp_path, monkeypatch
):
    # Codes by ITQ find copies without descriptors.
    made = lookalike("train", flat, "--name", "flat", "--encoder", "efficientnet_lite0", "--method", "itq")
    page = lookalike("evaluate", "flat", flat).stdout

    artifact = load_artifact(tmp_path / "flat")
    # The longest default code that forty pictures are enough for.
    assert artifact.bits == 32
    assert set(artifact.manifest.calibration["quantiles"]) == {"copies", "same_kind", "unrelated"}
    metrics = artifact.manifest.metrics[0]
    assert metrics["protocol"]["relevant"] == "the picture that was edited"
    assert metrics["protocol"]["gallery"] == 40
    assert metrics["map_all"] > 0.5
    assert "Warning" not in made.output
    assert "WARNING" not in made.output
    assert len(page.splitlines()) < 30
    assert artifact.digest[:16] in page
    assert "edited copy" in page

    # The features of these pictures are there: a second model is trained without the encoder.
    computed = []
    extraction = "app.learning.training.features.split_features.run_onnx_graph"
    monkeypatch.setattr(extraction, lambda *arguments: computed.append(arguments))
    lookalike("train", flat, "--name", "second", "--encoder", "efficientnet_lite0", "--method", "pca_sign")
    assert computed == []
    assert load_artifact(tmp_path / "second").manifest.training["method"] == "pca_sign"


def test_a_network_learns_from_pictures_without_kinds_and_stops_early(lookalike, flat, tmp_path):
    lookalike(
        "train", flat, "--name", "own", "--method", "autoencoder", "--epochs", 2, "--patience", 1,
    )  # fmt: skip

    artifact = load_artifact(tmp_path / "own")
    assert artifact.bits == 64
    assert artifact.manifest.metrics[0]["protocol"]["relevant"] == "the picture that was edited"


@pytest.mark.parametrize("broken", ["measure_codes", "calibrate_distances"])
def test_a_model_is_not_lost_to_a_figure_that_cannot_be_computed(
    lookalike, flat, tmp_path, monkeypatch, broken
):
    def fail(*_, **__):
        raise IndexError("index -1 is out of bounds for axis 0 with size 0")

    monkeypatch.setattr(f"app.learning.training.artifacts.writing.{broken}", fail)

    made = lookalike("train", flat, "--name", "kept", "--method", "autoencoder", "--epochs", 1)

    artifact = load_artifact(tmp_path / "kept")
    missing = {"measure_codes": artifact.manifest.metrics, "calibrate_distances": artifact.manifest.calibration}
    assert not missing[broken]
    assert made.stdout.split() == ["kept", artifact.digest]
    assert "Not measured" in (artifact.folder / "README.md").read_text()


def test_the_command_and_the_service_have_the_same_defaults():
    asked = {name: field.default for name, field in Train.model_fields.items()}
    own = {field.name: field.default for field in fields(TrainingRequest)}
    command = {name: parameter.default for name, parameter in signature(train).parameters.items()}

    for name in ("method", "bits", "encoder", "wordnet", "epochs", "seed"):
        assert asked[name] == own[name] == command[name], name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "{pictures}", "--name", "m", "--bits", 512), "512 bits need more than 512 pictures"),
        (("train", "{pictures}", "--name", "m", "--method", "magic"), "no hash method is called magic"),
        (("train", "{pictures}", "--name", "m", "--encoder", "paper"), "not by diffusion_similarity"),
        (
            ("train", "{partly}", "--name", "m", "--method", "supervised", "--unlabelled", "rest"),
            "needs labels of all",
        ),
        (("train", "nowhere", "--name", "m"), "nowhere"),
        (("train", "{pictures}", "--name", "m", "--bits", 12), "12"),
        (("train", "{flat}", "--name", "m", "--method", "supervised"), "needs labels of all pictures"),
        (("train", "{flat}", "--name", "m", "--method", "few_shot"), "needs labels of some pictures"),
        (("train", "{flat}", "--name", "m", "--method", "itq", "--epochs", 3), "itq has no epochs"),
        (("train", "{flat}", "--name", "m", "--method", "contrast", "--set", "modes=2"), "no setting modes"),
        (("train", "{pictures}", "--name", "m", "--set", "modes=many"), "is not NAME=NUMBER"),
        (
            ("train", "{pictures}", "--name", "m", "--method", "itq", "--set", "modes=25"),
            "itq has no setting modes",
        ),
        (("train", "{pictures}", "--name", "m", "--teacher", "efficientnet_lite9"), "no encoder is called"),
        (("train", "{pictures}", "--name", "m", "--teacher", "efficientnet_lite2"), "is named twice"),
        (
            ("train", "{pictures}", "--name", "m", "--method", "itq", "--teacher", "efficientnet_lite0"),
            "itq learns from no teacher",
        ),
        (
            ("train", "{pictures}", "--name", "m", "--method", "contrast", "--teacher", "efficientnet_lite0"),
            "teachers need a pretrained encoder",
        ),
        (("models", "build", "lite9-8", "--data", "{pictures}"), "no model called lite9-8 is shipped"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(lookalike, pictures, partly_labelled, flat, arguments, words):
    folders = {"pictures": pictures, "partly": partly_labelled, "flat": flat}
    filled = [str(argument).format(**folders) for argument in arguments]

    done = lookalike(*filled, status=2)

    assert words in done.stderr
    assert "Traceback" not in done.output
