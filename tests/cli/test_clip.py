"""``lookalike models add-clip``: from an export to searches by words."""

import asyncio
import importlib.util
import shutil

import numpy as np
import pytest
from PIL import Image

from app.bootstrap import open_worker
from app.cli.operations.checks.installation import check_text_towers
from app.jobs.runner import Runner
from app.worker.handlers import make_handlers
from tests.fixtures.clip_export import COLOURS, CONTEXT, edit_json, write_export

PER_COLOUR = 6


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return write_export(tmp_path_factory.mktemp("exports") / "tiny__pair")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """Noise of about each colour, in a folder for each."""
    root = tmp_path_factory.mktemp("gallery")
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (root / name).mkdir()
        for i in range(PER_COLOUR):
            noise = rng.integers(-25, 26, 3) + rng.integers(-60, 61, (24, 32, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{name}-{i}.png")
    return root


def work(settings):
    """Run the oldest job, as a worker does."""

    async def run_one():
        async with open_worker(settings) as services:
            return await Runner(services.database, make_handlers(services), owner="test").run_one()

    assert asyncio.run(run_one())


def colours(done):
    return [item["uri"].rpartition("/")[2].partition("-")[0] for item in done.document["items"]]


def test_an_export_becomes_a_model_that_finds_pictures_by_words(run, settings, export, gallery):
    run("index", gallery)
    added = run("models", "add-clip", export, "--licence", "MIT", "--json").document
    assert (added["name"], added["bits"], added["unread"]) == ("tiny__pair", 32, 0)
    assert "tiny__pair\t32\ttrained\ttext tower\t" in run("models", "list").stdout
    run("models", "reencode", "tiny__pair")
    work(settings)
    run("models", "activate", "tiny__pair")

    for colour in ("red", "green"):
        done = run("search", "--text", colour, "--limit", PER_COLOUR, "--json")
        assert colours(done) == [colour] * PER_COLOUR
    shown = run("search", "--text", "blue " * CONTEXT, "--limit", PER_COLOUR)
    assert [row[-1].rpartition("/")[2].partition("-")[0] for row in shown.rows] == ["blue"] * PER_COLOUR
    assert "encoded by the model's text tower; too long, 'blue blue' is ignored" in shown.stderr

    [finding] = asyncio.run(check_text_towers(settings))
    assert (finding.status, finding.detail) == ("ok", "text towers can be run: tiny__pair")
    report = dict(line.split("\t", 1) for line in run("models", "report", "tiny__pair").stdout.splitlines())
    assert (report["words"], report["licence"]) == ("text tower", "MIT")
    refused = run("models", "add-clip", export, status=4)
    assert "there is a model named 'tiny__pair' already; choose another --name" in refused.stderr


def test_a_model_may_be_fitted_to_a_folder(run, export, gallery):
    options = ("--pictures", gallery, "--most", "30", "--bits", "16", "--name", "fitted")
    done = run("models", "add-clip", export, *options)

    assert done.stdout.startswith("fitted  ")
    assert "next: `lookalike models reencode fitted`" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--name", "../x"], "Invalid value for --name"),
        (["--bits", "12"], "a code has a multiple of 8 bits"),
        (["--most", "20", "--bits", "24"], "24 bits need more than 24 pictures"),
    ],
)
def test_a_wrong_option_is_refused_with_a_remedy(run, export, gallery, arguments, says):
    refused = run("models", "add-clip", export, "--pictures", gallery, *arguments, status=2)

    assert says in _unwrapped(refused)


def test_an_unknown_collection_is_refused(run, export):
    refused = run("models", "add-clip", export, "--collection", "nowhere", status=4)

    assert "there is no collection named 'nowhere'" in refused.stderr


def test_a_damaged_folder_is_refused_before_anything_is_encoded(run, export, tmp_path):
    damaged = shutil.copytree(export, tmp_path / "damaged")
    edit_json(damaged / "visual" / "preprocess_cfg.json", mean=None)

    assert "has no mean and std: write it" in _unwrapped(run("models", "add-clip", damaged, status=2))


def test_without_the_extra_the_command_and_doctor_name_it(run, settings, export, gallery, monkeypatch):
    run("models", "add-clip", export, "--pictures", gallery, "--name", "mine")
    find_spec = importlib.util.find_spec
    hidden = {"tokenizers"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in hidden else find_spec(name))
    monkeypatch.setattr("app.encoding.text_tower.find_spec", lambda _: None)

    assert "run `pip install 'lookalike[clip]'`" in _unwrapped(run("models", "add-clip", export, status=2))
    [finding] = asyncio.run(check_text_towers(settings))
    assert finding.status == "error"
    assert finding.detail == "mine: searches by words need the package tokenizers, which is not installed"
    assert finding.remedy == "run `pip install 'lookalike[clip]'` and restart the service"


def _unwrapped(done):
    """Return the text of an error that is printed in a box."""
    return " ".join(line.strip("│ ") for line in done.stderr.splitlines())
