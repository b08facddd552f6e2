"""Values are stored, returned and compared exactly; deleting everything needs saying so."""

import json

import pytest

from tests.api.conftest import assert_problem, draw

LARGE = [2**53 + 1, 1234567890123456789, 2**63, 2**64 + 1, -(10**300) - 1]


def matching(api, key: str, **condition: object) -> list[str]:
    wanted = {"must": [{"key": key, **condition}]}
    listed = api.client.get("/images", params={"filter": json.dumps(wanted)})
    searched = api.search(draw(1), filter=wanted)
    posted = api.client.post("/search", json={"image_id": "0", "filter": wanted})
    assert api.ids(listed) == sorted(api.ids(searched)) == sorted(api.ids(posted))
    return api.ids(listed)


def delete(api, **asked: object):
    return api.client.post("/images/delete", json=asked)


def test_large_integers_come_back_as_they_were_sent(api):
    metadata = {"ids": LARGE, "deep": {"id": LARGE[1], "zero": -0.0}}
    api.add(draw(1), draw(1, kind="BMP"), ids=["0", "1"], metadata=[metadata, {}])
    as_sent = json.dumps(metadata)

    answers = [
        api.client.get("/images/0").json(),
        api.client.get("/images").json()["items"][0],
        api.search(draw(1)).json()["items"][0],
        api.client.patch("/images/0", json={"metadata": metadata}).json(),
        api.client.get("/duplicates").json()["items"][0]["images"][0],
        json.loads(api.client.get("/export").text.splitlines()[0]),
    ]

    assert [json.dumps(answer["metadata"]) for answer in answers] == [as_sent] * len(answers)


@pytest.mark.parametrize("value", LARGE)
def test_neighbouring_integers_are_told_apart(api, value):
    api.add(*map(draw, range(3)), ids=["0", "1", "2"], metadata=[{"v": value + d} for d in (0, 1, -1)])

    assert matching(api, "v", match=value) == ["0"]
    assert matching(api, "v", range={"gt": value}) == ["1"]
    assert delete(api, filter={"must": [{"key": "v", "match": value}]}).json()["ids"] == ["0"]
    assert api.client.get("/images/1").status_code == 200


def test_changes_after_the_first_search_are_decided_exactly_too(api):
    api.add(draw(1), ids=["0"], metadata=[{"v": LARGE[1]}])
    assert matching(api, "v", match=LARGE[1]) == ["0"]

    api.add(draw(2), draw(3), ids=["1", "2"], metadata=[{"v": LARGE[1] - 1}, {"v": LARGE[1]}])

    assert matching(api, "v", match=LARGE[1]) == ["0", "2"]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e400", "9" * 400])
def test_what_is_no_comparable_number_is_refused_everywhere(api, text):
    api.add(draw(1), ids=["0"])
    headers = {"content-type": "application/json"}
    condition = '{"must": [{"key": "v", "match": ' + text + "}]}"
    files = [("files", ("0.png", draw(2)))]

    def post(path: str, body: str):
        return api.client.post(path, content=body, headers=headers)

    for answer in (
        post("/search", '{"image_id": "0", "filter": ' + condition + "}"),
        post("/images/delete", '{"filter": ' + condition + "}"),
        api.client.get("/images", params={"filter": condition}),
        api.client.patch("/images/0", content='{"metadata": {"v": [' + text + "]}}", headers=headers),
        api.client.post("/index", files=files, data={"metadata": '[{"v": {"w": ' + text + "}}]"}),
        api.client.put("/images/0", files={"file": draw(2)}, data={"metadata": '{"v": ' + text + "}"}),
    ):
        assert answer.status_code == 422, answer.text
    assert api.client.get("/images/0").json()["metadata"] == {}


def test_nested_values_are_found_by_path_and_objects_are_refused(api):
    metadata = [
        {"camera": {"make": "acme"}},
        {"camera": {"make": "other"}},
        {"shots": [{"iso": 100}, {"iso": 400}]},
    ]
    api.add(*map(draw, range(3)), ids=["0", "1", "2"], metadata=metadata)

    assert matching(api, "camera.make", match="acme") == ["0"]
    assert matching(api, "shots.iso", range={"gt": 200}) == ["2"]
    wanted = {"must": [{"key": "camera", "match": "acme"}]}
    for answer in (
        api.search(draw(1), filter=wanted),
        api.client.get("/images", params={"filter": json.dumps(wanted)}),
        api.client.get("/duplicates", params={"filter": json.dumps(wanted)}),
        delete(api, filter=wanted),
    ):
        problem = assert_problem(answer, 422, "validation_failed")
        assert "'camera.name'" in problem["errors"][0]["detail"]


@pytest.mark.parametrize(("before", "after"), [(1, True), (0, False), (1, 1.0), (2**53, 2**53 + 1)])
def test_replacing_a_value_by_one_that_python_calls_equal_is_a_change(api, before, after):
    for value, status in ((before, "created"), (after, "replaced"), (after, "unchanged")):
        answer = api.add(draw(1), ids=["0"], metadata=[{"v": value}], on_duplicate="replace").json()
        assert answer["items"][0]["status"] == status
    assert json.dumps(api.client.get("/images/0").json()["metadata"]) == json.dumps({"v": after})


@pytest.mark.parametrize("wanted", [{}, {"must": []}, {"must": [], "must_not": []}])
@pytest.mark.parametrize("dry_run", [False, True])
def test_an_empty_filter_deletes_nothing(api, wanted, dry_run):
    api.add(draw(1), ids=["0"])

    problem = assert_problem(delete(api, filter=wanted, dry_run=dry_run), 422, "validation_failed")

    assert '"all": true' in problem["errors"][0]["detail"]
    assert api.client.get("/images/0").status_code == 200


@pytest.mark.parametrize(
    "asked",
    [
        {"all": False},
        {"all": "true"},
        {"all": 1},
        {"all": True, "ids": ["0"]},
        {"all": True, "filter": {"must": [{"key": "v", "match": 1}]}},
    ],
)
def test_all_is_true_and_alone_or_nothing_goes(api, asked):
    api.add(draw(1), ids=["0"])

    assert_problem(delete(api, **asked), 422, "validation_failed")
    assert api.client.get("/images/0").status_code == 200


def test_everything_is_deleted_when_that_is_said(api):
    api.add(*map(draw, range(3)), ids=["0", "1", "2"])

    dry = delete(api, all=True, dry_run=True).json()
    assert (dry["count"], dry["ids"], dry["dry_run"]) == (3, ["0", "1", "2"], True)
    wet = delete(api, all=True).json()

    assert (wet["count"], wet["ids"]) == (3, ["0", "1", "2"])
    assert api.ids(api.client.get("/images")) == []
