"""Kinds and edited copies in own folders, by a model and by baselines, as table, JSON and page."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

pytest.importorskip("torch")

from app.cli.main import app
from app.encoding.perceptual import perceptual_hash
from app.learning.datasets.folder import load_pictures
from app.learning.research.baselines import difference_hash
from app.learning.research.own_folders.measurement import measure_edits
from app.learning.research.own_folders.representations import Representation
from app.samples import samples

pytestmark = [pytest.mark.torch, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three samples of each of three kinds."""
    root, counts = tmp_path_factory.mktemp("own"), {}
    for sample in samples():
        kind = sample.metadata.get("label")
        is_new = kind not in counts
        if kind is None or counts.get(kind, 0) == 3 or (is_new and len(counts) == 3):
            continue
        counts[kind] = counts.get(kind, 0) + 1
        (root / kind).mkdir(exist_ok=True)
        (root / kind / f"{counts[kind]}.jpg").write_bytes(sample.read())
    return root


def evaluate(*arguments, status=0):
    done = CliRunner().invoke(
        app, ["evaluate", *(str(argument) for argument in arguments)], env={"COLUMNS": "200"}
    )
    assert done.exit_code == status, done.output
    return done


def test_kinds_and_edits_are_measured_beside_baselines(folder, tmp_path):
    page = tmp_path / "page.html"

    done = evaluate("lite0-256", "--kinds", folder, "--edits", folder, "--html", page, "--json")

    kinds, edits = json.loads(done.stdout)["measured"]
    assert (kinds["title"], edits["title"]) == ("Kinds", "Edited copies")
    methods = [row["method"] for row in kinds["rows"]]
    assert methods[:3] == ["lite0-256, code", "lite0-256, best 200 by descriptor", "float features"]
    assert {"PDQ", "pHash", "dHash", "colour histogram"} <= set(methods)
    assert (kinds["protocol"]["gallery"], kinds["protocol"]["queries"]) == (6, 3)
    assert (edits["protocol"]["gallery"], edits["protocol"]["queries"]) == (9, 90)
    for row in (*kinds["rows"], *edits["rows"]):
        assert {"map", "precision_at_10", "recall_at_1"} <= row.keys()
    by_method = {row["method"]: row for row in edits["rows"]}
    assert by_method["float features"]["recall_at_1"] > 0.8
    assert len(by_method["pHash"]["recall_at_1_by_edit"]) == 10
    # A mirrored picture has the same colours, but another hash.
    assert by_method["colour histogram"]["recall_at_1_by_edit"]["mirror"] == 1
    assert by_method["dHash"]["recall_at_1_by_edit"]["mirror"] < 1
    text = page.read_text()
    assert "lite0-256, code" in text
    assert "http://" not in text
    assert "https://" not in text
    # Each failure shows the query and five results.
    failures = kinds["failures"] + edits["failures"]
    assert text.count("data:image/jpeg;base64,") >= 6 * len(failures) > 0


def test_without_a_model_the_default_one_is_measured_and_a_table_is_printed(folder, monkeypatch):
    monkeypatch.setenv("LOOKALIKE_DEFAULT_MODEL", "lite0-256")

    done = evaluate("--kinds", folder)

    lines = done.stdout.splitlines()
    assert lines[0].split() == ["kinds", "mAP", "P@10", "recall@1"]
    assert any(line.startswith("lite0-256, code") for line in lines)
    assert len(lines) < 15
    assert "3 queries" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give a SOURCE"),
        (("lite0-256", "{folder}", "--kinds", "{folder}"), "either a SOURCE"),
        (("lite0-256", "{folder}", "--html", "page.html"), "--html needs"),
        (("nothing", "--kinds", "{folder}"), "nothing"),
        (("lite0-256", "--kinds", "{flat}"), "two kinds of two pictures"),
        (("lite0-256", "--edits", "{empty}"), "no pictures"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(folder, tmp_path, arguments, words):
    flat, empty = tmp_path / "flat", tmp_path / "empty"
    flat.mkdir()
    empty.mkdir()
    Image.new("RGB", (40, 40)).save(flat / "one.png")
    filled = [argument.format(folder=folder, flat=flat, empty=empty) for argument in arguments]

    done = evaluate(*filled, status=2)

    assert words in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.output


class HashesAlone:
    """PDQ of pictures, as far as they have one."""

    rows = (Representation("PDQ", "pdq", exists="has_pdq"),)

    def of(self, pictures):
        hashes = [perceptual_hash(pixels) for pixels in pictures]
        blank = np.zeros(4, np.uint64)
        return {
            "pdq": np.stack([blank if one is None else one.code for one in hashes]),
            "has_pdq": np.array([one is not None for one in hashes]),
        }


def test_pictures_with_too_little_detail_have_no_hash_to_be_found_by(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(4):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        coarse.resize((96, 96), Image.Resampling.BICUBIC).save(tmp_path / f"detailed{i}.png")
    for i in range(2):
        Image.new("RGB", (96, 96), (40 * i, 90, 120)).save(tmp_path / f"even{i}.png")

    [row] = measure_edits(HashesAlone(), load_pictures(tmp_path)).rows

    # Four are found for certain, and two are anywhere among the six.
    assert row["recall_at_1_by_edit"]["jpeg_q30"] == pytest.approx((4 + 2 / 6) / 6, abs=1e-4)


def test_a_difference_hash_has_a_bit_for_each_pair_of_neighbours():
    rising = np.repeat(np.arange(9, dtype=np.uint8)[None, None, :, None] * 20, 8, axis=1)
    picture = np.repeat(rising, 3, axis=3)  # (1, 8, 9, 3)

    assert (difference_hash(picture) > 0).all()
    assert (difference_hash(picture[:, :, ::-1]) < 0).all()
    assert difference_hash(picture).shape == (1, 64)
