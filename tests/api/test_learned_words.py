"""Words learned from the metadata of pictures: the job, searches and suggestions."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from app.bootstrap import worker_services
from app.domain.learned_words import LearnedWord
from app.jobs.runner import Runner
from app.services.model_life.relearning import Relearning
from app.services.searching import texts
from app.settings import Settings
from app.worker.handlers import learn_words, make_handlers
from tests.api.conftest import assert_problem

N = 14


def plain(kind: str, seed: int) -> bytes:
    out = io.BytesIO()
    colour = (230, 20 + seed, 20) if kind == "zorb" else (20, 20 + seed, 230)
    Image.new("RGB", (64, 64), colour).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def tagged(api):
    """Two kinds of pictures under made-up words, and one picture without words."""
    kinds = [(kind, i) for kind in ("zorb", "blick") for i in range(N)]
    api.add(
        *(plain(kind, i) for kind, i in kinds),
        ids=[f"{kind}{i}" for kind, i in kinds],
        metadata=[{"tags": [kind, f"only{i}"]} for kind, i in kinds],
    )
    api.add(plain("zorb", 50), ids=["untagged"])
    return api


@pytest.fixture
def run(client):
    """Start a job and run it."""
    services = client.app.state.services
    runner = Runner(services.database, make_handlers(worker_services(services)), owner="test")

    def start_and_work(retried=None, **body):
        if retried is not None:
            assert client.portal.call(runner.run_one)
            return client.get(f"/jobs/{retried}").json()
        answer = client.post("/admin/jobs/learn-words", json={"keys": ["tags"], **body})
        assert answer.status_code == 202, answer.text
        assert client.portal.call(runner.run_one)
        return client.get(answer.headers["location"]).json()

    return start_and_work


def by_text(api, text, **fields):
    return api.client.post("/search/query", json={"text": text, **fields})


def test_words_are_learned_searched_and_suggested(tagged, run):
    assert_problem(by_text(tagged, "zorb"), 422, "text_not_understood")

    job = run()
    found = by_text(tagged, "Zorbs", limit=N + 1).json()
    words = tagged.client.get("/collections/default/words").json()
    suggested = tagged.client.get("/images/untagged/suggestions", params={"limit": 3}).json()["items"]

    assert job["status"] == "succeeded", job
    result = job["result"]
    assert (result["pictures"], result["without_words"], result["without_code"]) == (2 * N, 1, 0)
    assert job["progress"]["done"] == job["progress"]["total"] == 2 * N + 1 + result["words"]
    # Each "only…" is carried by two pictures, fewer than the bound.
    assert (result["words"], result["offered"], result["rare"]) == (2, 2, N)
    assert {item["id"] for item in found["items"]} == {f"zorb{i}" for i in range(N)} | {"untagged"}
    meaning = found["query"]["understood_as"][0]
    assert (meaning["word"], meaning["relation"], meaning["pictures"]) == ("zorb", "tags", N)
    assert meaning["precision_at_10"] == found["query"]["confidence"] == 1.0
    assert (meaning["synset"], meaning["label"], meaning["classes"]) == (None, None, [])
    assert [(one["word"], one["pictures"], one["is_offered"]) for one in words["items"]] == [
        ("blick", N, True),
        ("zorb", N, True),
    ]
    assert (suggested[0]["word"], suggested[0]["source"]) == ("zorb", "tags")
    assert [one["source"] for one in suggested[1:]] == ["names", "names"]


def test_learned_words_go_together_with_names_examples_and_pages(tagged, run):
    run()

    without = by_text(tagged, "zorb -blick", limit=N).json()
    mixed = by_text(tagged, "zorb, dog").json()
    examples = by_text(tagged, "blick", images=[{"image_id": "zorb3"}], limit=1).json()
    first = by_text(tagged, "zorb", limit=5).json()
    rest = tagged.client.post("/search/query", json={"cursor": first["next_cursor"], "limit": 100}).json()
    whole = by_text(tagged, "zorb", limit=10).json()

    assert all(item["id"].startswith(("zorb", "untagged")) for item in without["items"])
    assert [one["relation"] for one in mixed["query"]["understood_as"]] == ["tags", "kinds"]
    assert examples["items"]
    assert first["items"] + rest["items"][:5] == whole["items"]


def test_a_misspelt_word_is_answered_with_learned_words(tagged, run):
    run()

    problem = assert_problem(by_text(tagged, "zorbb"), 422, "text_not_understood")
    beside = assert_problem(by_text(tagged, "zorb, blicks, zzorb"), 422, "text_not_understood")

    assert "zorb" in problem["detail"].partition("near it:")[2]
    assert "zorb" in beside["detail"].partition("near it:")[2]


def test_learned_words_are_searched_and_suggested_without_names_of_classes(tagged, run, client, monkeypatch):
    for module in (texts, learn_words):
        monkeypatch.setattr(module, "read_class_weights", lambda _: None)
    assert_problem(client.get("/images/untagged/suggestions"), 422, "text_not_supported")

    run()

    found = by_text(tagged, "zorb", limit=N).json()["items"]
    assert all(item["id"].startswith(("zorb", "untagged")) for item in found)
    suggested = client.get("/images/untagged/suggestions").json()["items"]
    assert [one["word"] for one in suggested] == ["zorb"]
    assert_problem(by_text(tagged, "zorb, dog"), 422, "text_not_supported")


def test_tags_come_before_names_and_a_hint_selects_the_name(tagged, run):
    tagged.client.patch("/images/untagged", json={"metadata": {"tags": "crane"}})
    for i in range(N):
        tagged.client.patch(f"/images/zorb{i}", json={"metadata": {"tags": "crane"}})
    before = by_text(tagged, "crane").json()["query"]["understood_as"][0]

    run()
    tags = by_text(tagged, "crane").json()["query"]["understood_as"][0]
    bird = by_text(tagged, "crane (wading bird)").json()["query"]["understood_as"][0]

    assert before["relation"] == "kinds"
    assert (tags["relation"], tags["pictures"]) == ("tags", N + 1)
    assert "crane (wading bird)" in tags["other_meanings"]
    assert (bird["relation"], bird["label"]) == ("kinds", "wading bird")


def test_a_word_below_the_bound_is_listed_but_not_used(tagged, run):
    for i in range(N):
        kind = "zorb" if i % 2 else "blick"
        tagged.client.patch(f"/images/{kind}{i}", json={"metadata": {"tags": [kind, "mixed"]}})

    run(min_precision=0.9)

    words = {one["word"]: one for one in tagged.client.get("/collections/default/words").json()["items"]}
    assert not words["mixed"]["is_offered"]
    assert_problem(by_text(tagged, "mixed"), 422, "text_not_understood")


def test_learning_again_replaces_the_words(tagged, run):
    run()
    for i in range(N):
        tagged.client.patch(f"/images/zorb{i}", json={"metadata": {"tags": "flurb"}})

    run()

    words = [one["word"] for one in tagged.client.get("/collections/default/words").json()["items"]]
    assert words == ["blick", "flurb"]
    assert_problem(by_text(tagged, "zorb"), 422, "text_not_understood")


def test_words_are_learned_again_after_pictures_have_changed(tagged, run, client):
    services = client.app.state.services
    relearning = Relearning(services.database, services.model_jobs, ["tags"])
    unasked = Relearning(services.database, services.model_jobs, [])

    def queued():
        return client.get("/jobs", params={"type": "learn_words", "status": "queued"}).json()["items"]

    client.portal.call(unasked.start_due)
    assert queued() == []
    client.portal.call(relearning.start_due)
    client.portal.call(relearning.start_due)
    (first,) = queued()
    assert run(first["id"])["status"] == "succeeded"
    client.portal.call(relearning.start_due)
    assert queued() == []

    for i in range(N):
        client.patch(f"/images/zorb{i}", json={"metadata": {"tags": "flurb"}})
    client.portal.call(unasked.start_due)
    (second,) = queued()
    assert run(second["id"])["result"]["keys"] == ["tags"]

    assert [one["word"] for one in client.get("/collections/default/words").json()["items"]] == [
        "blick",
        "flurb",
    ]


def test_words_belong_to_one_collection_and_go_with_it(tagged, run, client):
    client.post("/collections", json={"name": "other"})
    kinds = [(kind, i) for kind in ("zorb", "blick") for i in range(10)]
    files = [("files", ("p.png", plain(kind, 100 + i), "image/png")) for kind, i in kinds]
    metadata = json.dumps([{"tags": kind} for kind, _ in kinds])
    assert client.post("/index", files=files, data={"collection": "other", "metadata": metadata}).is_success
    services = client.app.state.services
    pk = services.index_sync.catalogue.collection("other").record.pk

    run(collection="other")

    assert by_text(tagged, "zorb", collection="other").status_code == 200
    assert_problem(by_text(tagged, "zorb"), 422, "text_not_understood")
    assert_problem(client.get("/collections/none/words"), 404, "unknown_collection")
    assert len(client.portal.call(stored_words, services.database, pk)) == 2
    assert client.delete("/collections/other").status_code == 204
    client.portal.call(sweep, services.database)
    assert client.portal.call(stored_words, services.database, pk) == []


async def sweep(database):
    is_left = True
    while is_left:
        async with database.write() as unit:
            is_left = await unit.collections.sweep(1_000) > 0


async def stored_words(database, pk):
    async with database.read() as unit:
        return await unit.learned_words.list_all(pk, Settings().models.default_model)


def test_a_restore_and_pruned_codes_take_their_words_along(tagged, run, client):
    database = client.app.state.services.database
    pk = client.app.state.services.index_sync.catalogue.collection("default").record.pk
    run()

    async def pruned():
        async with database.write() as unit:
            await unit.coverage.forget_codes(pk, "of another model", 1_000)
            kept = len(await unit.learned_words.list_all(pk, Settings().models.default_model))
            await unit.coverage.forget_codes(pk, Settings().models.default_model, 1_000)
        return kept, await stored_words(database, pk)

    assert client.portal.call(pruned) == (2, [])
    assert client.portal.call(stored_after_clearing, database, pk) == []


async def stored_after_clearing(database, pk):
    word = LearnedWord("zorb", 3, 1.0, 1.0, False, True, 0.0, 0.5, np.ones(256, np.float32))
    async with database.write() as unit:
        await unit.learned_words.replace_all(pk, Settings().models.default_model, [word])
    async with database.write() as unit:
        await unit.backups.clear()
    return await stored_words(database, pk)


def test_a_job_that_starts_over_counts_each_step_once(tagged, run, client, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(learn_words, "read_class_weights", broken)
        failed = run()
    assert failed["status"] == "failed"

    client.post(f"/jobs/{failed['id']}/retry")
    job = run(failed["id"])

    assert job["status"] == "succeeded", job
    assert job["progress"]["done"] == job["progress"]["total"] == 2 * N + 1 + 2


def broken(artifact):
    raise RuntimeError("the disk is gone")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"keys": []}, "/keys"),
        ({"keys": [""]}, "/keys/0"),
        ({"keys": ["tags"], "min_pictures": 1}, "/min_pictures"),
        ({"keys": ["tags"], "min_precision": 2}, "/min_precision"),
        ({"keys": ["tags"], "key": "x"}, "/key"),
    ],
)
def test_wrong_requests_are_refused(client, body, pointer):
    problem = assert_problem(client.post("/admin/jobs/learn-words", json=body), 422, "validation_failed")
    assert problem["errors"][0]["pointer"] == pointer


def test_an_unknown_collection_or_model_and_a_second_job_are_refused(client):
    for body, code in (({"collection": "none"}, "unknown_collection"), ({"model": "none"}, "unknown_model")):
        assert_problem(client.post("/admin/jobs/learn-words", json={"keys": ["a"], **body}), 404, code)
    assert client.post("/admin/jobs/learn-words", json={"keys": ["a"]}).status_code == 202
    assert_problem(client.post("/admin/jobs/learn-words", json={"keys": ["a"]}), 409, "job_exists")


def test_a_job_without_words_fails_with_the_reason_and_keeps_the_words(tagged, run):
    run()

    none = run(keys=["nothing"])
    rare = run(min_pictures=500)

    for job in (none, rare):
        assert (job["status"], job["error"]["code"]) == ("failed", "validation_failed")
    assert len(tagged.client.get("/collections/default/words").json()["items"]) == 2
