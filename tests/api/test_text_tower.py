"""Searches by words under a model with a text tower."""

import io
import shutil
import sys

import numpy as np
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from PIL import Image

from app.api.app import create_app
from app.bootstrap import worker_services
from app.domain.codes import pack_signs
from app.domain.errors import ArtifactRefused
from app.encoding.artifact import load_artifact
from app.encoding.encoder import OnnxEncoder
from app.encoding.text_tower import TextTower
from app.index.weighted import BitWeights
from app.jobs.runner import Runner
from app.learning.clip.building import ClipRequest, build_clip_artifact
from app.learning.clip.exports import ClipExport
from app.settings import Settings
from app.worker.handlers import make_handlers
from tests.api.conftest import Api, assert_problem, local_client
from tests.fixtures.clip_export import COLOURS, CONTEXT, write_export

PER_COLOUR = 5
NAMES = [f"{colour}-{i}" for colour in COLOURS for i in range(PER_COLOUR)]


def colour_near(colour, rng):
    return np.clip(np.array(colour) + rng.integers(-25, 26, 3), 0, 255).astype(np.uint8)


def png(pixels):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def drawn():
    """Even pictures, in the order of their names."""
    rng = np.random.default_rng(0)
    colours = (COLOURS[name.partition("-")[0]] for name in NAMES)
    return [np.broadcast_to(colour_near(colour, rng), (24, 32, 3)).copy() for colour in colours]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tower")
    export = ClipExport(write_export(folder / "tiny"))
    features = np.stack([export.picture_features(picture) for picture in drawn()])
    request = ClipRequest("tiny", bits=16)
    return build_clip_artifact(request, export, features, [], folder / "artifacts", on_step=lambda *_: None)


@pytest.fixture(scope="module")
def client(artifact, tmp_path_factory, make_data_dir):
    data = make_data_dir(tmp_path_factory.mktemp("service") / "data")
    settings = Settings(
        data_dir=data, artifacts_dir=artifact.folder.parent, default_model="tiny", decode_children=1
    )
    with local_client(create_app(settings, load_first=True), raise_server_exceptions=False) as client:
        api = Api(client)
        metadata = [{"number": i, "label": name.partition("-")[0]} for i, name in enumerate(NAMES)]
        answer = api.add(*map(png, drawn()), ids=NAMES, metadata=metadata)
        assert answer.status_code == 200, answer.text
        yield client


@pytest.fixture
def api(client):
    return Api(client)


def by_text(api, text, **fields):
    return api.client.post("/search/query", json={"text": text, "limit": 100, **fields})


def first(api, text, **fields):
    """Colours of the first pictures for a text."""
    answer = by_text(api, text, **fields)
    assert answer.status_code == 200, answer.text
    return [item["id"].partition("-")[0] for item in answer.json()["items"][:PER_COLOUR]]


@pytest.mark.parametrize("colour", COLOURS)
def test_a_text_finds_pictures_that_show_it(api, colour):
    assert first(api, colour) == [colour] * PER_COLOUR


def test_the_whole_collection_is_ranked_by_the_weights_of_the_tower(api, artifact):
    encoder = OnnxEncoder(artifact)
    y = encoder.encode(np.stack([encoder.prepare(picture) for picture in drawn()])).y
    weights = TextTower(artifact).encode("blue").weights
    unit = weights / np.linalg.norm(weights)
    order = np.argsort(BitWeights.of(unit).costs_of(pack_signs(y)), kind="stable")

    assert api.ids(by_text(api, "blue")) == [NAMES[i] for i in order]


def test_an_answer_says_that_the_tower_understood_the_text(api):
    query = by_text(api, "Red stripes").json()["query"]

    [meaning] = query["understood_as"]
    assert (meaning["source"], meaning["relation"]) == ("text tower", "text_tower")
    assert (meaning["phrase"], meaning["word"], meaning["ignored"]) == ("Red stripes", "Red stripes", None)
    assert (meaning["classes"], meaning["synset"], query["confidence"]) == ([], None, None)


def test_a_text_longer_than_the_context_says_what_it_ignored(api):
    [meaning] = by_text(api, "red" + " blue" * CONTEXT).json()["query"]["understood_as"]

    assert meaning["ignored"] == "blue blue blue"


@pytest.mark.parametrize("text", ["", "  ", "!?", "-red", "no red"])
def test_a_text_that_wants_nothing_is_refused(api, text):
    assert_problem(by_text(api, text), 422, "validation_failed")


def test_a_text_of_which_the_tower_knows_nothing_is_refused(api):
    problem = assert_problem(by_text(api, "zorb gnarl"), 422, "text_not_understood")

    assert "'zorb gnarl' is not understood: the model 'tiny' knows no part of it" in problem["detail"]


def test_what_is_unwanted_is_encoded_on_its_own(api):
    answer = by_text(api, "yellow -green").json()
    written_out = by_text(api, "yellow without green").json()

    meanings = [(one["word"], one["sign"]) for one in answer["query"]["understood_as"]]
    assert meanings == [("yellow", "+"), ("green", "-")]
    assert [one["id"] for one in written_out["items"]] == [one["id"] for one in answer["items"]]
    assert by_text(api, "yellow and green").json()["query"]["understood_as"][0]["word"] == "yellow and green"


def test_pages_filters_and_examples_work_as_with_other_texts(api):
    whole = api.ids(by_text(api, "red"))
    few = {"must": [{"key": "number", "range": {"gte": 3, "lt": 20}}]}
    page = by_text(api, "red", limit=4).json()
    found = page["items"]
    while page["next_cursor"]:
        page = api.client.post("/search/query", json={"cursor": page["next_cursor"]}).json()
        found += page["items"]

    assert [item["id"] for item in found] == whole
    assert api.ids(by_text(api, "red", filter=few)) == [
        one for one in whole if NAMES.index(one) in range(3, 20)
    ]
    examples = [{"image_id": "blue-0", "sign": "+"}, {"image_id": "red-0", "sign": "-"}]
    assert first(api, "blue", images=examples) == ["blue"] * PER_COLOUR
    assert first(api, "green", rank="hamming")[0] == "green"
    batch = {"queries": [{"text": "red"}, {"text": "zorb"}], "limit": 3}
    ok, refused = api.client.post("/search/batch", json=batch).json()["items"]
    assert [item["id"] for item in ok["items"]] == whole[:3]
    assert refused["error"]["code"] == "text_not_understood"


def test_models_say_what_understands_texts(api):
    [model] = api.client.get("/models").json()["items"]

    assert (model["name"], model["words"]) == ("tiny", "text tower")


def test_names_of_classes_are_suggested_as_with_other_models(api):
    found = api.client.get("/images/red-0/suggestions").json()["items"]

    assert found
    assert {one["source"] for one in found} == {"names"}


def test_words_learned_from_tags_come_before_the_tower(api):
    assert api.client.post("/collections", json={"name": "tagged"}).status_code == 201
    metadata = [{"label": name.partition("-")[0]} for name in NAMES]
    assert api.add(*map(png, drawn()), ids=NAMES, metadata=metadata, collection="tagged").status_code == 200
    request = {"collection": "tagged", "keys": ["label"], "min_precision": 0.1}
    answer = api.client.post("/admin/jobs/learn-words", json=request)
    assert answer.status_code == 202, answer.text
    services = api.client.app.state.services
    runner = Runner(services.database, make_handlers(worker_services(services)), owner="test")
    assert api.client.portal.call(runner.run_one)

    query = by_text(api, "red", collection="tagged").json()["query"]
    both = by_text(api, "red, zebra", collection="tagged").json()["query"]

    assert [one["source"] for one in query["understood_as"]] == ["tags"]
    assert query["confidence"] is not None
    assert [one["source"] for one in both["understood_as"]] == ["tags", "text tower"]
    assert both["confidence"] is None


def test_without_the_package_texts_are_refused_and_pictures_are_not(api, artifact, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    texts = api.client.app.state.services.search._texts
    monkeypatch.setattr(texts._towers, "_towers", {})

    problem = assert_problem(by_text(api, "white zebra"), 422, "text_not_supported")

    assert "run `pip install 'lookalike[clip]'` and restart the service" in problem["detail"]
    assert api.client.post("/search/query", json={"image_id": "red-0"}).status_code == 200


class Failing:
    """A session of ONNX Runtime that cannot run a text."""

    def run(self, *_):
        raise InvalidArgument("indices element out of data bounds")


class Overflowing:
    """A session of ONNX Runtime in which half precision overflows."""

    def run(self, *_):
        return [np.full((1, 16), np.nan, np.float32)]


@pytest.mark.parametrize("session", [Failing, Overflowing])
def test_a_tower_that_fails_on_a_text_is_named(api, monkeypatch, session):
    first(api, "red")
    [tower] = api.client.app.state.services.search._texts._towers._towers.values()
    monkeypatch.setattr(tower, "_session", session())

    problem = assert_problem(by_text(api, "black tabby"), 409, "artifact_refused")

    assert "artifact tiny: " in problem["detail"]
    assert "the text tower" in problem["detail"]
    assert "'black tabby'" in problem["detail"]
    assert "make the model again" in problem["detail"]


def test_a_damaged_tower_is_refused_by_name(artifact, tmp_path):
    copy = shutil.copytree(artifact.folder, tmp_path / "tiny")
    (copy / "textual" / "tokenizer.json").write_text("{}")

    with pytest.raises(ArtifactRefused, match=r"textual/tokenizer\.json is not the file named in model\.json"):
        load_artifact(copy)


@pytest.mark.parametrize(
    "path",
    ["/duplicates", "/collections/default/labels", "/models/tiny/report"],
)
def test_what_needs_no_words_answers_under_the_model(api, path):
    assert api.client.get(path).status_code == 200


def test_pictures_are_searched_and_compared_under_the_model(api):
    red, blue = (png(picture) for picture in (drawn()[0], drawn()[2 * PER_COLOUR]))

    assert api.ids(api.search(red, limit=1)) == ["red-0"]
    compared = api.client.post("/compare", files={"first": ("a", red), "second": ("b", blue)})
    assert compared.status_code == 200, compared.text
