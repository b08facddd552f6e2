"""The paper's tables on small drawn stand-ins for both collections: whole, resumed, and reported."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from app.cli.models.research import app
from app.encoding.preprocess import Preprocessing
from app.learning.nn.autoencoder import LossReading
from app.learning.research import claims, workspace
from app.learning.research.autoencoder import trained_autoencoder
from app.learning.research.paper import run_tables
from app.learning.research.readings import readings_called
from app.learning.research.settings import PaperSettings
from app.learning.research.workspace import Part, Workspace
from app.learning.training.features.arrays import stack_batches

pytestmark = [
    pytest.mark.torch,
    pytest.mark.slow,
    # Half a minute of computing, all of it in the first test's fixture.
    pytest.mark.timeout(900),
    # torch.export touches deprecated corners of itself.
    pytest.mark.filterwarnings("ignore:::torch|onnx|copyreg"),
]

KINDS = 10
SMALL = PaperSettings(
    epochs=1,
    method_epochs=1,
    bits=(32,),
    label_draws=2,
    encoder="efficientnet_lite0",
    input_sizes=(("cifar10", 32), ("caltech101", 32)),
)


def drawn(kind, number):
    """A JPEG of stripes whose direction is the kind's and whose colours vary."""
    rng = np.random.default_rng([kind, number])
    y, x = np.mgrid[0:40, 0:40]
    wave = np.sin((x * np.cos(kind / 3) + y * np.sin(kind / 3)) * 0.6 + rng.uniform(0, 6)) > 0
    picture = np.where(wave[..., None], *rng.integers(0, 256, (2, 3))).astype(np.uint8)
    written = io.BytesIO()
    Image.fromarray(picture).save(written, "JPEG")
    return written.getvalue()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """``cifar10.zip`` and ``caltech101.zip`` of ten drawn kinds each."""
    folder = tmp_path_factory.mktemp("data")
    with zipfile.ZipFile(folder / "cifar10.zip", "w") as archive:
        for kind in range(KINDS):
            for part, numbers in (("train", range(12)), ("test", range(12, 15))):
                for i in numbers:
                    archive.writestr(f"{part}/kind{kind}/{i:04}.jpg", drawn(kind, i))
    with zipfile.ZipFile(folder / "caltech101.zip", "w") as archive:
        for kind in range(KINDS):
            for i in range(12):
                name = f"101_ObjectCategories/kind{kind}/image_{i:04}.jpg"
                archive.writestr(name, drawn(kind + 20, i))
    return folder


@pytest.fixture(scope="module")
def first_run(data, tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("paper")
    run_tables(Workspace(folder, data), SMALL)
    return folder


def test_the_report_stands_measured_beside_claimed_with_words_and_plots(first_run):
    text = (first_run / "report.md").read_text()
    page = (first_run / "report.html").read_text()

    for table in ("I: ", "II: ", "III: ", "IV: ", "V: "):
        assert f"## Table {table}" in text
    at_32 = [claim for (_, bits), claim in claims.TABLE_1.items() if bits == 32]
    for claimed, _ in (*at_32, *claims.TABLE_2.values(), *claims.TABLE_4.values()):
        assert f"| {claimed:.3f} |" in text
    assert "at most 1 epochs" in text
    assert "seeds 0" in text
    assert page.count("<svg") >= 5
    assert "<code>not run</code>" in page


def test_every_cell_stores_how_it_was_measured(first_run):
    cells = list((first_run / "cells").iterdir())
    assert cells
    for path in cells:
        protocol = json.loads(path.read_text())["protocol"]
        assert protocol["gallery"] > protocol["queries"] > 0, path.name
        assert protocol["queries_sha256"] != protocol["gallery_sha256"], path.name
        assert "training_seed" in protocol, path.name


def test_a_report_of_nothing_yet_says_that_nothing_was_run(data, tmp_path):
    run_tables(Workspace(tmp_path, data, parts=frozenset()), SMALL)

    text = (tmp_path / "report.md").read_text()
    assert text.count("| not run |") > 50
    assert f"| {claims.TABLE_1['cifar10', 32][0]:.3f} |" in text
    assert not (tmp_path / "cells").exists()


def test_processes_with_different_parts_compute_different_cells(first_run, data, tmp_path):
    few = replace(SMALL, collections=("cifar10",), readings=(LossReading.ALGORITHM_2,))

    run_tables(Workspace(tmp_path, data, parts=frozenset({Part.NETWORKS})), few)

    trained = {cell.name for cell in (tmp_path / "cells").iterdir()}
    everything = {cell.name for cell in (first_run / "cells").iterdir()}
    assert len(trained) == 5
    assert trained < {name for name in everything if "-network-" in name or "-latent-" in name}


def test_a_cell_that_another_process_computes_is_left_to_it(tmp_path, data):
    ours, theirs = Workspace(tmp_path, data), Workspace(tmp_path, data)

    def compute():
        assert not ours.cell("shared", lambda: pytest.fail("computed twice"))
        return {"figure": 1}

    assert theirs.cell("shared", compute) == {"figure": 1}
    assert ours.in_progress == {"shared"}
    assert ours.cell("shared", lambda: pytest.fail("computed twice")) == {"figure": 1}


def test_a_network_with_more_epochs_than_asked_for_is_not_reported_as_one_with_fewer(first_run, data):
    more = Workspace(first_run, data)
    trained_autoencoder(more, "cifar10", LossReading.ALGORITHM_1, 16, replace(SMALL, epochs=2), 0)

    _, history = trained_autoencoder(more, "cifar10", LossReading.ALGORITHM_1, 16, replace(SMALL, epochs=3), 0)
    assert history.epochs == 3
    with pytest.raises(ValueError, match="already trained for 3 epochs"):
        trained_autoencoder(more, "cifar10", LossReading.ALGORITHM_1, 16, SMALL, 0)


def test_a_run_that_goes_on_computes_only_what_is_missing(first_run, data):
    cells = sorted((first_run / "cells").iterdir())
    written = {cell.name: cell.stat().st_mtime_ns for cell in cells}
    report = (first_run / "report.md").read_text()
    # A table of times would differ; hash layers are the same for the same seed.
    lost = [cell for cell in cells if "neighbour_contrast" in cell.name][:3]
    for cell in lost:
        cell.unlink()

    run_tables(Workspace(first_run, data, parts=frozenset()), SMALL)
    unfinished = (first_run / "report.md").read_text()
    run_tables(Workspace(first_run, data), SMALL)

    again = {cell.name: cell.stat().st_mtime_ns for cell in (first_run / "cells").iterdir()}
    assert {name for name in again if again[name] != written[name]} == {cell.name for cell in lost}
    assert again.keys() == written.keys()
    assert unfinished.count("| not run |") >= 3
    assert (first_run / "report.md").read_text() == report


def test_features_of_a_killed_run_are_computed_from_the_last_finished_part(data, tmp_path, monkeypatch):
    monkeypatch.setattr(workspace, "PART", 50)
    encoded = []

    def encoder(_name, side):
        def encode(batch):
            if len(encoded) == 3:
                encoded.append(0)
                raise KeyboardInterrupt
            encoded.append(len(batch))
            return batch.reshape(len(batch), -1)[:, :8].astype(np.float32)

        return encode

    monkeypatch.setattr(workspace, "pretrained", encoder)
    material = Workspace(tmp_path, data).material("cifar10")  # 30 queries, 120 gallery pictures

    with pytest.raises(KeyboardInterrupt):
        material.features("any", 32)
    before = sum(encoded)
    queries, gallery = material.features("any", 32)

    assert before == 30 + 50  # the queries and the first part of the gallery
    assert sum(encoded) - before == 120 - 50
    assert len(queries) == 30
    pixels = stack_batches(material.split.gallery.prepared(Preprocessing(32)), 120)
    np.testing.assert_array_equal(gallery, pixels.reshape(120, -1)[:, :8].astype(np.float32))
    assert not list(tmp_path.rglob("*gallery.[0-9]*.npy"))


def test_a_run_stopped_in_a_cell_keeps_the_finished_ones(data, tmp_path):
    kept = Workspace(tmp_path, data)
    kept.cell("finished", lambda: {"figure": 1})

    def killed():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.cell("unfinished", killed)

    again = Workspace(tmp_path, data)
    assert again.cell("finished", killed) == {"figure": 1}
    assert again.cell("unfinished", lambda: {"figure": 2}) == {"figure": 2}


def test_an_unknown_reading_is_refused_with_those_that_exist():
    with pytest.raises(
        ValueError, match=r"'magic' .*readings are algorithm_2, algorithm_2_centred, algorithm_1"
    ):
        readings_called(["algorithm_1", "magic"])
    assert readings_called(["algorithm_1"]) == (LossReading.ALGORITHM_1,)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--reading", "magic"), "readings are"),
        (("--part", "magic"), "parts are"),
        (("--bits", "12"), "multiple of 8"),
    ],
)
def test_the_command_refuses_bad_options_before_it_reads_a_picture(tmp_path, options, said):
    done = CliRunner().invoke(app, ["paper", "--data", str(tmp_path), "--out", str(tmp_path / "out"), *options])

    assert done.exit_code == 2
    assert said in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()
