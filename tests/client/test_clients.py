"""Both clients against the real application: what calls send, and what they return."""

import io
import socket
from contextlib import suppress
from datetime import datetime

import pytest

from lookalike_client import (
    BatchQuery,
    Client,
    Condition,
    Example,
    Filter,
    KeyRefused,
    NewPicture,
    NoAnswer,
    NotFound,
    RequestRefused,
    StateConflict,
)
from tests.api.conftest import draw


def test_a_search_by_upload_returns_typed_results(client, pictures):
    answer = client.search_by_upload(pictures["p2"], limit=2)

    assert (answer.items[0].id, answer.items[0].distance, answer.items[0].exact) == ("p2", 0, True)
    assert answer.items[0].metadata == {"n": "p2"}
    assert answer.exact_matches == ("p2",)
    assert answer.index.coverage.indexed == 4


@pytest.mark.parametrize("of", ["bytes", "path", "file"])
def test_an_upload_is_bytes_a_path_or_a_file(client, pictures, tmp_path, of):
    path = tmp_path / "query.png"
    path.write_bytes(pictures["p1"])
    with path.open("rb") as file:
        upload = {"bytes": pictures["p1"], "path": path, "file": file}[of]

        assert client.search_by_upload(upload, limit=1).items[0].exact


def test_a_text_is_not_taken_for_a_path(client, pictures):
    with pytest.raises(TypeError, match=r"Path\('query.png'\)"):
        client.search_by_upload("query.png")


def test_a_filter_is_typed_or_a_mapping(client, pictures):
    typed = Filter(must=[Condition("n", match="p3")])

    assert [hit.id for hit in client.search_by_upload(pictures["p0"], filter=typed).items] == ["p3"]
    assert [hit.id for hit in client.search_by_query(image_id="p0", filter=typed).items] == ["p3"]
    mapping = {"must_not": [{"key": "n", "match": "p3"}]}
    assert {picture.id for picture in client.list_pictures(filter=mapping).items} == {"p0", "p1", "p2"}


def test_iterators_pass_through_all_pages(client, pictures):
    assert [picture.id for picture in client.iter_pictures(limit=1, order="newest")] == ["p3", "p2", "p1", "p0"]
    hits = list(client.iter_search_by_upload(pictures["p0"], limit=1, absolute_urls=True))
    assert {hit.content_url for hit in hits} == {f"http://127.0.0.1:8000/images/{p}/content" for p in pictures}
    found = [hit.id for hit in hits]
    assert found == [hit.id for hit in client.iter_search_by_query(image_id="p0", limit=3)]


def test_a_batch_has_an_outcome_for_each_query(client, pictures):
    answer = client.search_batch([BatchQuery(image_id="p0"), BatchQuery(image_id="none")], limit=1)

    assert answer.items[0].items[0].id == "p0"
    assert answer.items[1].error.code == "unknown_image"


def test_examples_and_codes_are_queries(client, pictures):
    by_examples = client.search_by_query(images=[Example("p0"), Example("p1", "-")])
    code = client.search_by_query(image_id="p0", limit=1).query.code

    assert by_examples.query.images == (Example("p0"), Example("p1", "-"))
    assert client.search_by_query(code=code, model="lite2-256", limit=1).items[0].id == "p0"


def test_two_pictures_are_compared_whether_stored_or_not(client, pictures):
    assert client.compare_uploads(pictures["p0"], "p0").exact
    assert client.compare_uploads("p0", "p0").exact
    assert client.compare_uploads(pictures["p0"], io.BytesIO(pictures["p1"])).distance > 0
    assert client.compare_stored("p0", "p1").distance > 0


def test_a_picture_is_changed_by_what_is_given_and_only_if_unchanged(client, pictures):
    before = client.get_picture("p0")
    after = client.patch_picture("p0", uri="here", revision=before.revision)

    assert (after.uri, after.metadata) == ("here", {"n": "p0"})
    assert isinstance(after.updated_at, datetime)
    with pytest.raises(StateConflict) as caught:
        client.delete_picture("p0", revision=before.revision)
    assert caught.value.code == "precondition_failed"
    assert client.patch_picture("p0", metadata=None).metadata == {}
    client.delete_picture("p0")
    with pytest.raises(NotFound):
        client.get_picture("p0")


def test_a_picture_is_put_and_its_files_are_read(client, pictures):
    content = draw(9)

    assert client.put_picture("p9", content, metadata={"big": 10**30}).metadata == {"big": 10**30}
    assert client.get_content("p9") == content
    assert client.get_thumbnail("p9", size=64)[8:12] == b"WEBP"


def test_each_added_picture_has_its_own_outcome(client, pictures):
    answer = client.add_pictures([NewPicture(b"no picture", id="x"), draw(7)])

    assert [item.status for item in answer.items] == ["failed", "created"]
    assert answer.items[0].error.code == "not_an_image"


def test_an_export_is_typed(client, pictures):
    lines = list(client.export_collection())

    assert [line.id for line in lines] == ["p0", "p1", "p2", "p3"]
    assert {len(line.code) for line in lines} == {64}


def test_labels_are_lines_of_text(client, pictures):
    lines = list(client.export_labels("default", format="csv", limit=1))

    assert lines[0] == "id,uri,rank,word,source,share"
    assert [line.split(",")[0] for line in lines[1:]] == ["p0", "p1", "p2", "p3"]


def test_collections_are_created_changed_and_deleted(client):
    assert client.create_collection("shop", description="shoes").keeps == "copies"
    assert client.patch_collection("shop", description=None).description is None
    assert {"default", "shop"} <= {collection.name for collection in client.iter_collections(limit=1)}
    client.delete_collection("shop")
    with pytest.raises(NotFound):
        client.get_collection("shop")


def test_a_refusal_names_the_field_and_how_to_mend_it(client, pictures):
    with pytest.raises(RequestRefused) as caught:
        client.search_by_query(image_id="p0", limit=5000)

    error = caught.value
    assert (error.status, error.code, error.field) == (422, "validation_failed", "limit")
    assert "1000" in error.detail
    assert error.request_id
    assert error.problem.instance == "/search/query"


def test_a_wrong_key_is_refused(service):
    client = Client("http://127.0.0.1:8000", key="lk_wrong", transport=service._transport)

    with pytest.raises(KeyRefused) as caught:
        client.get_info()

    assert caught.value.status == 401


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_the_key_of_a_local_service_is_not_sent_to_a_proxy_of_the_environment(host, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.setblocking(False)
        for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        # Nothing listens on port 9.
        local = Client(f"http://{host}:9", key="lk_secret", timeout_s=1, retries=0)
        with local, pytest.raises(NoAnswer):
            local.get_info()
        # A stranger may still call the port of a server that had it before.
        with suppress(BlockingIOError):
            while True:
                caller, _ = proxy.accept()
                with caller:
                    caller.settimeout(1)
                    with suppress(OSError):
                        assert b"lk_secret" not in caller.recv(65_536)
