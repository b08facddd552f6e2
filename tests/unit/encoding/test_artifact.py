"""An artifact is verified whole or refused by name."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.errors import ArtifactRefused
from app.encoding.artifact import Canary, load_artifact, write_artifact
from app.encoding.encoder import OnnxEncoder
from app.encoding.manifest import ArtifactManifest
from tests.unit.encoding.pictures import waves

ARTIFACTS = Path(__file__).parents[3] / "model_artifacts"
SHIPPED = sorted(path.parent for path in ARTIFACTS.glob("*/model.json"))
# Collections hold codes of these. Another encoder gets another name: see docs/decisions/0036.
DIGESTS = {
    "lite0-256": "b6007e500354636153aee1c8de0d3525cab59b2515c179235a45925a895d0ba6",
    "lite2-256": "6a8934cafa2bf34f252392fd6ae721cf28aa11563857b4a8ddcc591f6e2e1a4d",
    "lite2-64": "7813c2c72b133f016601850d83c971ef74c9c9ce0514dcbb03c28bea86e98646",
    "paper-32": "6d028198b8330a8bae3fb3a542b18b45837bc1852ac1a3b8d4cd82099b4560d3",
}


@pytest.fixture(scope="module")
def original():
    """The shipped artifact that brings its own encoder."""
    return next(folder for folder in SHIPPED if (folder / "encoder.onnx").exists())


@pytest.fixture
def artifact(original, tmp_path):
    """A copy to damage."""
    return Path(shutil.copytree(original, tmp_path / original.name))


def rewrite(folder, **changes):
    """Change the manifest as somebody would who can seal it again."""
    manifest = load_artifact(folder).manifest
    changed = manifest.model_copy(update=changes).sealed()
    (folder / "model.json").write_text(changed.text(), encoding="utf-8")


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_shipped_artifact_loads_keeps_its_canary_and_is_small_enough(folder):
    loaded = load_artifact(folder)

    encoder = OnnxEncoder(loaded)

    assert encoder.name == folder.name
    assert (np.abs(loaded.canary.y) > loaded.canary.margin).mean() > 0.5
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 20_000_000


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=st.data())
def test_a_single_flipped_bit_anywhere_is_refused(artifact, draw):
    names = sorted(file.name for file in artifact.iterdir() if file.name != "README.md")
    path = artifact / draw.draw(st.sampled_from(names))
    content = path.read_bytes()
    position = draw.draw(st.integers(0, 8 * len(content) - 1))
    flipped = bytearray(content)
    flipped[position // 8] ^= 1 << position % 8
    path.write_bytes(bytes(flipped))

    with pytest.raises(ArtifactRefused, match=artifact.name):
        load_artifact(artifact)

    path.write_bytes(content)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=st.data())
def test_a_truncated_file_is_refused(artifact, draw):
    names = sorted(file.name for file in artifact.iterdir() if file.name != "README.md")
    path = artifact / draw.draw(st.sampled_from(names))
    content = path.read_bytes()
    path.write_bytes(content[: draw.draw(st.integers(0, len(content) - 1))])

    with pytest.raises(ArtifactRefused, match=artifact.name):
        load_artifact(artifact)

    path.write_bytes(content)


@pytest.mark.parametrize(
    "name", ["model.json", "encoder.onnx", "weights.safetensors", "canary.png", "canary.npy"]
)
def test_a_missing_file_is_refused_by_its_name(artifact, name):
    (artifact / name).unlink()

    with pytest.raises(ArtifactRefused, match=name):
        load_artifact(artifact)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ArtifactRefused, match="nothing"):
        load_artifact(tmp_path / "nothing")


def test_a_renamed_folder_is_refused(artifact):
    renamed = artifact.rename(artifact.with_name("another"))

    with pytest.raises(ArtifactRefused, match="names another model"):
        load_artifact(renamed)


def test_an_edited_figure_is_refused(artifact):
    path = artifact / "model.json"
    path.write_text(path.read_text().replace('"queries": 911', '"queries": 912', 1))

    with pytest.raises(ArtifactRefused, match="altered"):
        load_artifact(artifact)


def test_an_unknown_field_is_refused_and_named(artifact):
    path = artifact / "model.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "colour": "red"}))

    with pytest.raises(ArtifactRefused, match="colour"):
        load_artifact(artifact)


@pytest.mark.parametrize(
    "encoder", ["../../encoder.onnx", "/etc/passwd", "../.hidden/encoder.onnx", "sub/encoder.onnx"]
)
def test_an_encoder_outside_the_siblings_is_refused(artifact, encoder):
    files = load_artifact(artifact).manifest.files
    moved = {encoder if name == "encoder.onnx" else name: sha256 for name, sha256 in files.items()}
    rewrite(artifact, encoder=encoder, files=moved)

    with pytest.raises(ArtifactRefused, match="not a file of this or another artifact"):
        load_artifact(artifact)


def test_a_model_that_computes_other_bits_than_its_canary_is_refused(artifact):
    loaded = load_artifact(artifact)
    lying = Canary(loaded.canary.pixels, -loaded.canary.y, loaded.canary.margin)
    written = write_artifact(
        artifact.parent / "out",
        loaded.manifest,
        encoder=loaded.encoder_path,
        weights=(artifact / "weights.safetensors").read_bytes(),
        canary=lying,
    )

    with pytest.raises(ArtifactRefused, match="certain bits differ"):
        OnnxEncoder(written)


def test_bits_of_the_canary_within_the_margin_may_differ(artifact):
    loaded = load_artifact(artifact)
    uncertain = np.abs(loaded.canary.y) <= loaded.canary.margin
    y = np.where(uncertain, -loaded.canary.y, loaded.canary.y)
    written = write_artifact(
        artifact.parent / "out",
        loaded.manifest,
        encoder=loaded.encoder_path,
        weights=b"",
        canary=Canary(loaded.canary.pixels, y, loaded.canary.margin),
    )

    assert uncertain.any()
    assert OnnxEncoder(written).bits == loaded.bits


def test_an_encoder_replaced_after_the_check_is_refused(artifact):
    loaded = load_artifact(artifact)
    loaded.encoder_path.write_bytes(loaded.encoder_path.read_bytes()[:-1])

    with pytest.raises(ArtifactRefused, match=r"not the file named in model.json"):
        OnnxEncoder(loaded)


def test_a_file_that_is_no_graph_is_refused(artifact):
    loaded = load_artifact(artifact)
    nonsense = artifact.parent / "nonsense"
    nonsense.write_bytes(b"not a graph")
    written = write_artifact(
        artifact.parent / "out", loaded.manifest, encoder=nonsense, weights=b"", canary=loaded.canary
    )

    with pytest.raises(ArtifactRefused, match="cannot be loaded"):
        OnnxEncoder(written)


def test_a_graph_of_another_length_than_the_manifest_says_is_refused(artifact):
    loaded = load_artifact(artifact)
    canary = Canary(loaded.canary.pixels, np.ones(8, np.float32), 0.0)
    written = write_artifact(
        artifact.parent / "out",
        loaded.manifest.model_copy(update={"bits": 8}),
        encoder=loaded.encoder_path,
        weights=b"",
        canary=canary,
    )

    with pytest.raises(ArtifactRefused, match="inputs and outputs"):
        OnnxEncoder(written)


def test_a_sibling_shares_the_encoder_and_has_its_own_identity_only_where_codes_differ(artifact):
    loaded = load_artifact(artifact)
    sibling = write_artifact(
        artifact.parent,
        loaded.manifest.model_copy(update={"name": "sibling", "encoder": f"../{artifact.name}/encoder.onnx"}),
        encoder=None,
        weights=b"",
        canary=loaded.canary,
    )

    assert not (sibling.folder / "encoder.onnx").exists()
    assert sibling.encoder_path.samefile(loaded.encoder_path)
    assert sibling.digest == loaded.digest
    pixels = waves(1)
    ours, theirs = OnnxEncoder(sibling), OnnxEncoder(loaded)
    np.testing.assert_array_equal(
        ours.encode(ours.prepare(pixels)[None]).y, theirs.encode(theirs.prepare(pixels)[None]).y
    )


def test_rewriting_an_artifact_replaces_it_whole_and_leaves_nothing_beside_it(artifact):
    loaded = load_artifact(artifact)
    again = write_artifact(
        artifact.parent,
        loaded.manifest.model_copy(update={"summary": "A newer one."}),
        encoder=loaded.encoder_path,
        weights=b"",
        canary=loaded.canary,
    )

    assert again.manifest.summary == "A newer one."
    assert again.digest == loaded.digest
    assert [entry.name for entry in artifact.parent.iterdir()] == [artifact.name]


def test_what_does_not_verify_never_takes_the_place_of_what_did(artifact):
    loaded = load_artifact(artifact)
    wrong = Canary(loaded.canary.pixels, np.ones(3, np.float32), 0.0)

    with pytest.raises(ArtifactRefused, match="the canary's y"):
        write_artifact(artifact.parent, loaded.manifest, encoder=loaded.encoder_path, weights=b"", canary=wrong)

    assert load_artifact(artifact).digest == loaded.digest


def test_shipped_names_stay_with_the_models_that_collections_were_encoded_under():
    assert {folder.name: load_artifact(folder).digest for folder in SHIPPED} == DIGESTS


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_each_shipped_figure_has_its_data_and_seeds(folder):
    manifest = load_artifact(folder).manifest

    for figure in manifest.metrics:
        protocol = figure["protocol"]
        assert len(protocol["gallery_sha256"]) == len(protocol["queries_sha256"]) == 64
        assert protocol["gallery_sha256"] != protocol["queries_sha256"]
        assert protocol["training_seed"] == manifest.training["seed"]
        assert {"split_seed", "evaluation_seed"} <= protocol.keys()
    assert manifest.metrics


def test_the_digest_follows_what_decides_a_code_and_nothing_else(original):
    manifest: ArtifactManifest = load_artifact(original).manifest

    reworded = manifest.model_copy(update={"summary": "Other words."}).sealed()
    rescaled = manifest.model_copy(
        update={"preprocessing": manifest.preprocessing.model_copy(update={"fit": "letterbox"})}
    ).sealed()

    assert reworded.digest == manifest.digest
    assert reworded.checksum != manifest.checksum
    assert rescaled.digest != manifest.digest
