"""The service as a user runs it: real processes, real pictures, answers identical to an offline oracle."""

import json
import os
from dataclasses import dataclass

import numpy as np
import pytest

from app.domain.codes import pack_signs
from app.learning.evaluation.metrics import figures, rank_codes, rank_features
from app.settings import Settings
from tests.process.gallery import labelled_pictures
from tests.process.oracle import Oracle, ranking

pytestmark = pytest.mark.real_pictures

if os.environ.get("LOOKALIKE_SOAK"):
    N_GALLERY, N_QUERIES, K = 2_000, 100, 50
elif os.environ.get("LOOKALIKE_TEST_DATA_DIR"):
    N_GALLERY, N_QUERIES, K = 1_000, 100, 50
else:
    N_GALLERY, N_QUERIES, K = 120, 20, 50


@dataclass(frozen=True)
class Expected:
    """What the oracle computes from the files alone."""

    oracle: Oracle
    y_gallery: np.ndarray
    y_queries: np.ndarray
    answers: list[list[tuple[str, int]]]


@pytest.fixture(scope="module")
def pictures():
    return labelled_pictures(N_GALLERY, N_QUERIES)


@pytest.fixture(scope="module")
def expected(pictures):
    gallery = pictures[0]
    oracle = Oracle(Settings().models.default_model)
    y_gallery, y_queries = (oracle.y([p.content for p in part]) for part in pictures)
    codes = pack_signs(y_gallery)
    answers = [[(gallery[i].name, d) for i, d in ranking(codes, code, K)] for code in pack_signs(y_queries)]
    return Expected(oracle, y_gallery, y_queries, answers)


def add_all(http, gallery) -> None:
    for start in range(0, len(gallery), 32):
        batch = gallery[start : start + 32]
        answer = http.post(
            "/index",
            files=[("files", (p.name, p.content)) for p in batch],
            data={
                "ids": json.dumps([p.name for p in batch]),
                "metadata": json.dumps([{"label": p.label, "i": start + i} for i, p in enumerate(batch)]),
            },
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["counts"].get("failed", 0) == 0, answer.text


def search(http, content: bytes, **fields) -> dict:
    answer = http.post(
        "/search", files={"file": content}, data={"rank": "hamming"} | {k: str(v) for k, v in fields.items()}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def found(body: dict) -> list[tuple[str, int]]:
    return [(item["id"], item["distance"]) for item in body["items"]]


def check_answers(http, queries, expected: Expected) -> None:
    for query, answer in zip(queries, expected.answers, strict=True):
        assert found(search(http, query.content, limit=K)) == answer


def check_the_same_picture_is_exact(http, picture) -> None:
    again = search(http, picture.content)
    assert again["items"][0]["distance"] == 0
    assert picture.name in again["exact_matches"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_answers_equal_an_offline_oracle_before_and_after_a_restart(start, pictures, expected, capsys):
    gallery, queries = pictures
    server = start()
    with server.client() as http:
        add_all(http, gallery)
        check_answers(http, queries, expected)
    server.kill()
    server = start()
    assert f"{N_GALLERY:,} pictures" in server.ready_line

    with server.client() as http:
        check_answers(http, queries, expected)
        check_the_same_picture_is_exact(http, gallery[7])

        assert http.delete(f"/images/{gallery[7].name}").status_code == 204
        assert gallery[7].name not in search(http, gallery[7].content)["exact_matches"]
        http.patch(f"/images/{gallery[8].name}", json={"metadata": {"label": "renamed"}})
        renamed = json.dumps({"must": [{"key": "label", "match": "renamed"}]})
        assert [i for i, _ in found(search(http, gallery[8].content, filter=renamed))] == [gallery[8].name]
        http.put(f"/images/{gallery[9].name}", content=queries[0].content)
        assert search(http, queries[0].content)["items"][0]["id"] == gallery[9].name

    report(gallery, queries, expected, capsys)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(900)
def test_two_servers_on_postgres_answer_as_the_oracle_does(start, tmp_path, postgres_url, pictures, expected):
    gallery, queries = pictures
    env = {"LOOKALIKE_DATABASE_URL": postgres_url, "LOOKALIKE_PICTURES_URL": (tmp_path / "pictures").as_uri()}
    folders = (tmp_path / "one", tmp_path / "two")
    first, second = (start(data_dir=folder, env=env) for folder in folders)
    with first.client() as one, second.client() as two:
        add_all(one, gallery)
        assert one.get("/collections/default").json()["images"] == N_GALLERY
        check_the_same_picture_is_exact(two, gallery[7])
    first.kill()
    second.kill()
    first, second = (start(data_dir=folder, env=env) for folder in folders)

    for server in (first, second):
        assert f"{N_GALLERY:,} pictures" in server.ready_line
        with server.client() as http:
            check_answers(http, queries, expected)


def report(gallery, queries, expected: Expected, capsys) -> None:
    """Figures beside those of the float features, for whoever reads the run."""
    names = sorted({p.label for p in gallery + queries})
    gallery_labels = np.array([names.index(p.label) for p in gallery])
    query_labels = np.array([names.index(p.label) for p in queries])
    encoder = expected.oracle.encoder
    codes, query_codes = pack_signs(expected.y_gallery), pack_signs(expected.y_queries)
    by_code = figures(rank_codes(query_codes, query_labels, codes, gallery_labels, encoder.bits))
    floats = unit(expected.y_queries), query_labels, unit(expected.y_gallery), gallery_labels
    by_float = figures(rank_features(*floats))
    with capsys.disabled():
        print(
            f"\n{encoder.name}, {len(gallery)} pictures, {len(queries)} held-out queries:"
            f" codes mAP {by_code.map_all:.3f} P@10 {by_code.precision_at_10:.3f},"
            f" float features mAP {by_float.map_all:.3f} P@10 {by_float.precision_at_10:.3f}"
        )


def unit(y: np.ndarray) -> np.ndarray:
    """Rows of unit length, so that inner products are cosines."""
    return y / np.linalg.norm(y, axis=1, keepdims=True)
