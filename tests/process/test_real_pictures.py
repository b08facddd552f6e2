"""The service as a user runs it: real processes, real pictures, answers identical to an offline oracle."""

import json

import numpy as np
import pytest

from app.domain.codes import pack_signs
from app.learning.evaluation.metrics import figures, rank_codes, rank_features
from tests.process.gallery import labelled_pictures
from tests.process.oracle import Oracle, ranking

N_GALLERY, N_QUERIES, K = 2_000, 100, 50


@pytest.fixture(scope="module")
def pictures():
    return labelled_pictures(N_GALLERY, N_QUERIES)


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
    answer = http.post("/search", files={"file": content}, data={k: str(v) for k, v in fields.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


def found(body: dict) -> list[tuple[str, int]]:
    return [(item["id"], item["distance"]) for item in body["items"]]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_answers_equal_an_offline_oracle_before_and_after_a_restart(start, pictures, capsys):
    gallery, queries = pictures
    server = start()
    with server.client() as http:
        add_all(http, gallery)
        model = http.get("/info").json()["model"]
    server.kill()
    server = start()
    assert f"{N_GALLERY:,} pictures" in server.ready_line
    oracle = Oracle(model)
    codes = oracle.codes([p.content for p in gallery])
    y_queries = oracle.y([p.content for p in queries])

    with server.client() as http:
        for query, code in zip(queries, oracle.codes([p.content for p in queries]), strict=True):
            expected = [(gallery[i].name, d) for i, d in ranking(codes, code, K)]
            assert found(search(http, query.content, limit=K)) == expected

        again = search(http, gallery[7].content)
        assert again["items"][0]["distance"] == 0
        assert gallery[7].name in again["exact_matches"]

        assert http.delete(f"/images/{gallery[7].name}").status_code == 204
        assert gallery[7].name not in search(http, gallery[7].content)["exact_matches"]
        http.patch(f"/images/{gallery[8].name}", json={"metadata": {"label": "renamed"}})
        renamed = json.dumps({"must": [{"key": "label", "match": "renamed"}]})
        assert [i for i, _ in found(search(http, gallery[8].content, filter=renamed))] == [gallery[8].name]
        http.put(f"/images/{gallery[9].name}", content=queries[0].content)
        assert search(http, queries[0].content)["items"][0]["id"] == gallery[9].name

    _report(model, gallery, queries, codes, y_queries, oracle, capsys)


def _report(model, gallery, queries, codes, y_queries, oracle, capsys) -> None:
    """Figures beside those of the float features, for whoever reads the run."""
    names = sorted({p.label for p in gallery + queries})
    gallery_labels = np.array([names.index(p.label) for p in gallery])
    query_labels = np.array([names.index(p.label) for p in queries])
    y_gallery = oracle.y([p.content for p in gallery])
    bits = oracle.encoder.bits
    by_code = figures(rank_codes(pack_signs(y_queries), query_labels, codes, gallery_labels, bits))
    by_float = figures(rank_features(unit(y_queries), query_labels, unit(y_gallery), gallery_labels))
    with capsys.disabled():
        print(
            f"\n{model}, {len(gallery)} pictures, {len(queries)} held-out queries:"
            f" codes mAP {by_code.map_all:.3f} P@10 {by_code.precision_at_10:.3f},"
            f" float features mAP {by_float.map_all:.3f} P@10 {by_float.precision_at_10:.3f}"
        )


def unit(y: np.ndarray) -> np.ndarray:
    """Rows of unit length, so that inner products are cosines."""
    return y / np.linalg.norm(y, axis=1, keepdims=True)
