"""The paper's tables on small drawn stand-ins for both collections: whole, resumed, and reported."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from app.learning.research import claims
from app.learning.research.paper import run_tables
from app.learning.research.settings import PaperSettings
from app.learning.research.workspace import Workspace

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
    bits=(16, 32, 64),
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
    for claimed, _ in (*claims.TABLE_1.values(), *claims.TABLE_2.values(), *claims.TABLE_4.values()):
        assert f"| {claimed:.3f} |" in text
    assert "1 epochs at most" in text
    assert "seeds 0" in text
    assert page.count("<svg") >= 5


def test_every_cell_stores_how_it_was_measured(first_run):
    cells = list((first_run / "cells").iterdir())
    assert cells
    for path in cells:
        protocol = json.loads(path.read_text())["protocol"]
        assert protocol["gallery"] > protocol["queries"] > 0, path.name
        assert protocol["queries_sha256"] != protocol["gallery_sha256"], path.name
        assert "training_seed" in protocol, path.name


def test_a_report_of_nothing_yet_says_that_nothing_was_run(data, tmp_path):
    run_tables(Workspace(tmp_path, data, only_finished=True), SMALL)

    text = (tmp_path / "report.md").read_text()
    assert text.count("| not run |") > 50
    assert f"| {claims.TABLE_1['cifar10', 32][0]:.3f} |" in text
    assert not (tmp_path / "cells").exists()


def test_a_run_that_goes_on_computes_only_what_is_missing(first_run, data):
    cells = sorted((first_run / "cells").iterdir())
    written = {cell.name: cell.stat().st_mtime_ns for cell in cells}
    report = (first_run / "report.md").read_text()
    # A table of times would differ; hash layers are the same for the same seed.
    lost = [cell for cell in cells if "neighbour_contrast" in cell.name][:3]
    for cell in lost:
        cell.unlink()

    run_tables(Workspace(first_run, data, only_finished=True), SMALL)
    unfinished = (first_run / "report.md").read_text()
    run_tables(Workspace(first_run, data), SMALL)

    again = {cell.name: cell.stat().st_mtime_ns for cell in (first_run / "cells").iterdir()}
    assert {name for name in again if again[name] != written[name]} == {cell.name for cell in lost}
    assert again.keys() == written.keys()
    assert unfinished.count("| not run |") >= 3
    assert (first_run / "report.md").read_text() == report
