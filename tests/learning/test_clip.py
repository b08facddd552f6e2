"""Exported pairs of encoders: checked folders, the fitted hash layer, and the artifact that is made of both."""

import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from app.encoding.artifact import TOKENIZER, load_artifact, read_class_weights
from app.encoding.encoder import OnnxEncoder
from app.encoding.preprocess import Fit, Resample
from app.encoding.text_tower import TextTokenizer, TextTower, canonical
from app.learning.clip.building import ClipRequest, build_clip_artifact
from app.learning.clip.exports import BadExport, ClipExport
from app.learning.clip.hash_layer import ClipHashLayer, default_bits
from tests.fixtures.clip_export import (
    COLOURS,
    CONTEXT,
    DIM,
    END,
    PAD,
    SIDE,
    START,
    UNKNOWN,
    edit_json,
    features_of,
    write_export,
)

PER_COLOUR = 20


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_export(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture
def folder(original, tmp_path):
    """A copy to damage."""
    return shutil.copytree(original, tmp_path / "tiny")


def pictures():
    """Even pictures of about each colour, and the colour of each."""
    rng = np.random.default_rng(0)
    near = [np.clip(np.array(c) + rng.integers(-25, 26, (PER_COLOUR, 3)), 0, 255) for c in COLOURS.values()]
    colours = np.concatenate(near).astype(np.uint8)
    return [np.broadcast_to(one, (20, 30, 3)).copy() for one in colours], np.repeat(list(COLOURS), PER_COLOUR)


def build(folder, out, **request):
    export = ClipExport(folder)
    features = np.stack([export.picture_features(one) for one in pictures()[0]])
    data = [{"collection": "colours", "part": "all", "pictures": len(features)}]
    return build_clip_artifact(
        ClipRequest("tiny", **request), export, features, data, out, on_step=lambda *_: None
    )


@pytest.fixture(scope="module")
def artifact(original, tmp_path_factory):
    return build(original, tmp_path_factory.mktemp("artifacts"), licence="MIT")


def found(artifact, text):
    """Colours of the first ten pictures for a text."""
    drawn, colours = pictures()
    encoder = OnnxEncoder(artifact)
    y = encoder.encode(np.stack([encoder.prepare(one) for one in drawn])).y
    scores = np.where(y >= 0, 1, -1) @ TextTower(artifact).encode(text).weights
    return colours[np.argsort(-scores, kind="stable")[:10]].tolist()


def test_an_export_is_described_by_its_graphs_and_configurations(original):
    export = ClipExport(original)

    assert (export.dim, export.pixels_input.name) == (DIM, "image")
    how = export.preprocessing
    assert (how.input_size, how.fit, how.resample) == (SIDE, Fit.CROP, Resample.BICUBIC)
    assert (export.tower.ids_input, export.tower.dtype, export.tower.context_length) == (
        "text",
        "int32",
        CONTEXT,
    )


def test_features_of_pictures_are_of_normalised_pixels(original):
    colour = (200, 30, 30)

    features = ClipExport(original).picture_features(np.full((40, 30, 3), colour, np.uint8))

    expected = features_of(colour)
    assert features == pytest.approx(expected / np.linalg.norm(expected), abs=1e-4)


@pytest.mark.parametrize(
    "options", [{}, {"mask": True}, {"half": True, "dtype": "int64"}], ids=["plain", "mask", "half"]
)
def test_texts_find_pictures_of_their_colour(options, tmp_path):
    artifact = build(write_export(tmp_path / "pair", **options), tmp_path / "out")

    for colour in ("red", "green", "blue"):
        assert found(artifact, colour) == [colour] * 10


def test_an_artifact_has_codes_words_and_a_card(artifact):
    assert load_artifact(artifact.folder).manifest == artifact.manifest
    assert artifact.bits == default_bits(len(COLOURS) * PER_COLOUR, DIM) == 32
    assert read_class_weights(artifact).shape == (1000, 32)
    card = (artifact.folder / "README.md").read_text()
    assert "text tower" in card
    assert "MIT" in card
    assert "lookalike models add-clip" in card
    assert 0.2 < artifact.manifest.calibration["text_tower"]["shared_of_first_ten"] <= 1


def test_y_is_the_hash_layer_of_the_features(original, artifact):
    export, encoder = ClipExport(original), OnnxEncoder(artifact)
    features = np.stack([export.picture_features(one) for one in pictures()[0]])
    texts = np.array([0.0] * DIM, np.float32)
    layer = ClipHashLayer.fit(features, texts, 32)

    y = encoder.encode(np.stack([encoder.prepare(one) for one in pictures()[0][:5]])).y

    assert y == pytest.approx(layer.of_pictures(features[:5]), abs=1e-3)


def test_what_all_texts_have_in_common_is_subtracted(artifact):
    mean = read_class_weights(artifact).mean(axis=0)

    assert np.abs(mean).max() < 1e-3


def test_a_text_that_is_too_long_is_cut_off_and_the_rest_is_named(artifact):
    tower = TextTower(artifact)

    short = tower.encode("red " * (CONTEXT - 2))
    long = tower.encode("red " * (CONTEXT - 2) + "green  blue")

    assert (short.ignored, long.ignored) == ("", "green blue")
    assert long.weights.tolist() == short.weights.tolist()


def test_a_text_of_unknown_words_is_not_known(artifact):
    tower = TextTower(artifact)

    assert [tower.encode(text).is_known for text in ("zorb", "zorb red", "")] == [False, True, False]


def test_canonical_texts_have_no_capitals_and_no_punctuation(folder, tmp_path):
    edit_json(
        folder / "config.json",
        text_cfg={"context_length": CONTEXT, "tokenizer_kwargs": {"clean": "canonicalize"}},
    )
    tower = TextTower(build(folder, tmp_path / "out"))

    assert tower.encode("Red!").weights.tolist() == tower.encode("red").weights.tolist()


def test_canonical_texts_lose_all_punctuation_of_ascii():
    assert canonical("A_dog + cat: <$5> [x]^2, ~`|") == "a dog cat 5 x2"


@pytest.mark.parametrize("token", [START, END, PAD, UNKNOWN])
def test_special_tokens_in_a_text_are_ordinary_characters(artifact, token):
    tokenizer = TextTokenizer((artifact.folder / TOKENIZER).read_bytes(), artifact.manifest.text_tower)

    tokens = tokenizer.tokenize(f"red {token} green")

    special = {0: PAD, 2: START, 3: END}
    ids = tokens.ids[: int(tokens.mask.sum())].tolist()
    assert [special[i] for i in ids if i in special] == [START, END]
    assert tokenizer.tokenize(f"red {token}").ids.tolist() != tokenizer.tokenize("red").ids.tolist()


def drop_the_last_token(graph):
    """Let the graph know one token less than the tokenizer has."""
    [table] = [one for one in graph.initializer if one.name == "table"]
    table.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(table)[:-1].copy(), "table"))


def test_a_tokenizer_of_another_model_is_refused_when_it_is_noticed(folder, tmp_path):
    change_graph("textual/model.onnx", drop_the_last_token)(folder)

    with pytest.raises(BadExport, match=r"textual/model\.onnx cannot be run.*with the tokenizer of the same"):
        build(folder, tmp_path / "out")


def test_weights_in_files_of_their_own_become_part_of_the_artifact(folder, tmp_path):
    for name in ("visual", "textual"):
        path = folder / name / "model.onnx"
        model = onnx.load(path)
        path.unlink()
        onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=500)

    artifact = build(folder, tmp_path / "out")

    shutil.rmtree(folder)
    assert found(artifact, "green") == ["green"] * 10


def test_names_of_tensors_may_be_those_that_are_added(folder, tmp_path):
    path = folder / "visual" / "model.onnx"
    model = onnx.load(path)
    model.graph.input[0].name = "pixels"
    model.graph.node[0].input[0] = "pixels"
    onnx.save(model, path)

    assert found(build(folder, tmp_path / "out"), "blue") == ["blue"] * 10


def test_preprocessing_may_be_in_the_configuration_of_the_model(folder):
    how = json.loads((folder / "visual" / "preprocess_cfg.json").read_text())
    (folder / "visual" / "preprocess_cfg.json").unlink()
    edit_json(folder / "config.json", preprocess_cfg=how | {"resize_mode": "squash"})

    assert ClipExport(folder).preprocessing.fit is Fit.SQUASH


def write_json(name, **changes):
    return lambda folder: edit_json(folder / name, **changes)


def overwrite(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def remove(name):
    return lambda folder: (folder / name).unlink()


def change_graph(name, change):
    def damage(folder):
        model = onnx.load(folder / name)
        change(model.graph)
        onnx.save(model, folder / name)

    return damage


def set_dim(end, axis, value):
    def change(graph):
        getattr(graph, end)[0].type.tensor_type.shape.dim[axis].dim_value = value

    return change


def of_another_model(folder):
    other = write_export(folder.parent / "other", dim=DIM + 8)
    shutil.copytree(other / "textual", folder / "textual", dirs_exist_ok=True)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (shutil.rmtree, "there is no folder"),
        (remove("textual/model.onnx"), r"lacks textual/model\.onnx; it needs the layout"),
        (remove("textual/tokenizer.json"), r"lacks textual/tokenizer\.json"),
        (
            overwrite("visual/model.onnx", b"no graph"),
            r"visual/model\.onnx cannot be loaded.*download it",
        ),
        (overwrite("textual/model.onnx", b""), r"textual/model\.onnx"),
        (overwrite("textual/tokenizer.json", b"{}"), r"tokenizer\.json cannot be read.*download it again"),
        (overwrite("config.json", b"{"), r"config\.json cannot be read"),
        (overwrite("config.json", b"[]"), r"config\.json is not a JSON object"),
        (remove("visual/preprocess_cfg.json"), r'has no mean and std: write it .*"size": 224'),
        (write_json("visual/preprocess_cfg.json", std=None), "has no mean and std"),
        (write_json("visual/preprocess_cfg.json", std=[0, 1, 1]), "std must be positive"),
        (write_json("visual/preprocess_cfg.json", mean=[0.5]), "mean must be three numbers"),
        (write_json("visual/preprocess_cfg.json", size=[16, 24]), "size must be the side of a square"),
        (
            write_json("visual/preprocess_cfg.json", size=32),
            r"size is 32, but .* takes pictures of 16",
        ),
        (
            write_json("visual/preprocess_cfg.json", resize_mode="stretch"),
            "resize_mode must be shortest or",
        ),
        (write_json("visual/preprocess_cfg.json", interpolation="random"), "interpolation must be"),
        (write_json("visual/preprocess_cfg.json", fill_color=[0, 9, 0]), "fill_color must be a grey level"),
        (
            write_json("config.json", text_cfg={"context_length": 77}),
            "is 77, but .* takes 12 tokens",
        ),
        (write_json("config.json", text_cfg={"context_length": "77"}), "must have the number of tokens"),
        (write_json("config.json", text_cfg={"context_length": 12, "hf_tokenizer_name": "x/nllb-200"}), "NLLB"),
        (write_json("textual/tokenizer_config.json", pad_token=None), "has no pad_token; add it"),
        (write_json("textual/tokenizer_config.json", pad_token="<x>"), "has no token '<x>' to pad with"),
        (remove("textual/tokenizer_config.json"), r"textual/tokenizer_config\.json is missing"),
        (change_graph("visual/model.onnx", set_dim("input", 1, 4)), "channels first|cannot be loaded"),
        (of_another_model, "returns 48 features and .* 56: they are of two models"),
    ],
)
def test_a_damaged_folder_is_refused_with_a_remedy(folder, damage, says):
    damage(folder)

    with pytest.raises(BadExport, match=says):
        ClipExport(folder)


def test_older_configurations_describe_tokens_by_objects(folder):
    edit_json(folder / "textual" / "tokenizer_config.json", pad_token={"content": "<pad>"}, unk_token=None)

    assert (ClipExport(folder).tower.pad_token, ClipExport(folder).tower.unknown_token) == ("<pad>", None)


def test_pictures_that_hardly_differ_are_refused():
    features = np.tile(np.random.default_rng(0).standard_normal((1, 32)).astype(np.float32), (40, 1))

    with pytest.raises(ValueError, match="use more pictures, or fewer --bits"):
        ClipHashLayer.fit(features, features[0], 16)


@pytest.mark.parametrize(("count", "dim", "bits"), [(5_000, 512, 256), (200, 512, 128), (5_000, 48, 32)])
def test_the_code_is_as_long_as_pictures_and_features_allow(count, dim, bits):
    assert default_bits(count, dim) == bits


def test_too_few_pictures_are_refused(original, tmp_path):
    with pytest.raises(ValueError, match="128 bits need more than 128 pictures and at least 128 features"):
        build(original, tmp_path, bits=128)
    with pytest.raises(ValueError, match="needs more than 16 pictures"):
        default_bits(16, 512)
