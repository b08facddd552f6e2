"""The service's own addresses, its limits and its OpenAPI document."""

import asyncio
import json

import pytest
from threadpoolctl import threadpool_info

from app.api.app import create_app
from app.api.problems import STATUS_OF_CODE
from app.api.schemas.images import AddResponse, Image
from app.api.schemas.search import SearchResponse
from app.domain import errors
from app.images.formats import ACCEPTED_MEDIA_TYPES, ACCEPTED_NAMES
from app.settings import Settings
from tests.api.conftest import Api, assert_problem, draw, local_client


def test_health_readiness_and_info(api):
    api.add(draw(1))

    assert api.client.get("/healthz").json() == {"status": "ok"}
    assert api.client.get("/readyz").json()["status"] == "ready"
    info = api.client.get("/info").json()
    assert info["images"] == 1
    assert info["collections"][0]["name"] == "default"
    assert info["memory_bytes"] > 0
    assert info["keys_required"] is False


def test_products_of_matrices_wake_no_other_threads(api):
    assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}


def test_metrics_count_requests_by_route_not_by_path(api):
    api.client.get("/images/some-id")

    text = api.client.get("/metrics").text

    assert 'route="/images/{image_id}"' in text
    assert "some-id" not in text


def test_a_request_id_is_given_back(api):
    assert api.client.get("/healthz", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert api.client.get("/healthz", headers={"x-request-id": "b@d id"}).headers["x-request-id"] != "b@d id"


def test_unknown_addresses_and_methods_are_problems(api):
    assert_problem(api.client.get("/nothing"), 404, "not_found")
    assert_problem(api.client.get("/index"), 405, "method_not_allowed")


def test_an_upload_over_the_cap_is_refused_by_its_length(settings):
    small = Settings(data_dir=settings.storage.data_dir, max_upload_bytes=1000, decode_children=1)
    with local_client(create_app(small, load_first=True)) as client:
        assert_problem(Api(client).search(b"x" * 1_100_000), 413, "image_too_large")
        assert_problem(Api(client).search(draw(1, size=300)), 413, "image_too_large")


def test_an_upload_over_the_cap_is_refused_without_a_length(settings):
    small = Settings(data_dir=settings.storage.data_dir, max_upload_bytes=1000, decode_children=1)

    def chunks():
        yield b"--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n"
        for _ in range(40):
            yield b"x" * 65_536

    with local_client(create_app(small, load_first=True)) as client:
        answer = client.post(
            "/search", content=chunks(), headers={"content-type": "multipart/form-data; boundary=x"}
        )
        assert_problem(answer, 413, "image_too_large")


def test_past_the_bound_the_answer_is_503_with_retry_after(settings):
    busy = Settings(data_dir=settings.storage.data_dir, max_requests_in_flight=1, decode_children=1)
    with local_client(create_app(busy, load_first=True)) as client:

        async def storm():
            import httpx2

            transport = httpx2.ASGITransport(client.app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as many:
                sent = [many.post("/search", files={"file": draw(i)}) for i in range(8)]
                return await asyncio.gather(*sent)

        answers = client.portal.call(storm)

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 200
    assert statuses[-1] == 503
    assert set(statuses) == {200, 503}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.json()["code"] == "overloaded"
    assert int(refused.headers["retry-after"]) >= 1


def test_until_the_index_is_loaded_searches_are_told_to_wait(settings, monkeypatch):
    from app.services.index_sync.index_sync import IndexSync

    held = asyncio.Event()
    real_start = IndexSync.start

    async def start_late(self):
        await held.wait()
        await real_start(self)

    monkeypatch.setattr(IndexSync, "start", start_late)
    with local_client(create_app(settings)) as client:
        waiting = assert_problem(Api(client).search(draw(1)), 503, "index_not_ready")
        assert waiting["status"] == 503
        assert_problem(client.get("/readyz"), 503, "index_not_ready")
        assert client.get("/healthz").status_code == 200
        client.portal.call(held.set)
        for _ in range(200):
            if client.get("/readyz").status_code == 200:
                break
            client.portal.call(asyncio.sleep, 0.02)
        assert Api(client).search(draw(1)).status_code == 200


def wait_until_ready(client) -> None:
    for _ in range(500):
        if client.get("/readyz").status_code == 200:
            return
        client.portal.call(asyncio.sleep, 0.02)
    raise AssertionError(client.get("/readyz").text)


def test_loading_is_tried_again_when_the_database_does_not_answer_at_the_start(settings, monkeypatch):
    from app.services import supervision
    from app.services.index_sync.index_sync import IndexSync

    real_start, attempts = IndexSync.start, []
    told = asyncio.Event()

    async def start(self):
        attempts.append(None)
        if len(attempts) == 1:
            raise errors.DatabaseUnavailable("the database is locked")
        await told.wait()
        await real_start(self)

    monkeypatch.setattr(supervision, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(IndexSync, "start", start)
    with local_client(create_app(settings)) as client:
        for _ in range(500):
            if len(attempts) == 2:
                break
            client.portal.call(asyncio.sleep, 0.01)
        waiting = assert_problem(client.get("/readyz"), 503, "index_not_ready")
        client.portal.call(told.set)
        wait_until_ready(client)

    assert "the database is locked" in waiting["detail"]


def test_readiness_ends_while_the_index_does_not_follow_the_database(settings, monkeypatch):
    from app.services import supervision
    from app.store.pictures.lookups import Lookups

    real_latest, defects = Lookups.latest_change, [False]

    async def latest(self):
        if defects[0]:
            raise RuntimeError("a defect")
        return await real_latest(self)

    monkeypatch.setattr(supervision, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(supervision, "LONGEST_PAUSE_S", 0.01)
    monkeypatch.setattr(Lookups, "latest_change", latest)
    quick = settings.replace(poll_interval_s=0.01)
    with local_client(create_app(quick)) as client:
        wait_until_ready(client)
        defects[0] = True
        for _ in range(500):
            if client.get("/readyz").status_code == 503:
                break
            client.portal.call(asyncio.sleep, 0.02)
        down = assert_problem(client.get("/readyz"), 503, "index_not_ready")
        alive = client.get("/healthz").status_code
        defects[0] = False
        wait_until_ready(client)
        added = Api(client).add(draw(1))
        found = Api(client).search(draw(1)).json()["items"]

    assert "does not follow" in down["detail"]
    assert "RuntimeError" in down["detail"]
    assert (alive, added.status_code, len(found)) == (200, 201, 1)


def test_readiness_ends_when_the_index_is_stale(settings, monkeypatch):
    from app.services.index_sync import index_sync

    with local_client(create_app(settings, load_first=True)) as client:
        assert client.get("/readyz").status_code == 200
        monkeypatch.setattr(index_sync, "STALE_S", -1.0)
        monkeypatch.setattr(index_sync, "MISSED_POLLS", -1)
        stale = assert_problem(client.get("/readyz"), 503, "index_not_ready")

    assert "not been compared" in stale["detail"]


def every_error(kind=errors.LookalikeError):
    yield kind
    for child in kind.__subclasses__():
        yield from every_error(child)


def test_every_error_of_ours_has_a_status():
    assert {kind.code for kind in every_error()} <= STATUS_OF_CODE.keys()


def has_example(shown, document) -> bool:
    """Whether a body's documentation shows an example, of the whole or of its fields."""
    if "example" in shown or "examples" in shown:
        return True
    schema = shown.get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    fields = schema.get("properties", {}).values()
    return "examples" in schema or any(
        "examples" in field or field.get("format") == "binary" for field in fields
    )


def test_every_operation_has_a_summary_a_description_and_examples(api):
    document = api.client.get("/openapi.json").json()

    assert {"/search", "/index", "/jobs/{job_id}"} <= document["paths"].keys()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            name = f"{method} {path}"
            assert operation.get("summary"), name
            assert operation.get("description"), name
            answers = operation["responses"]
            assert any(status.startswith("2") for status in answers), name
            for status, answer in answers.items():
                shown = answer.get("content", {}).get("application/json")
                if status.startswith("2") and shown is not None:
                    assert has_example(shown, document), f"{name} {status}"
            for kind, shown in operation.get("requestBody", {}).get("content", {}).items():
                assert kind == "image/*" or has_example(shown, document), f"{name} takes {kind}"


def test_answers_have_the_documented_shapes(api):
    added = api.add(draw(1), ids=["a"]).json()
    found = api.search(draw(1)).json()
    record = api.client.get("/images/a").json()

    assert AddResponse.model_validate(added, strict=False).model_dump(mode="json") == added
    assert SearchResponse.model_validate(found).model_dump(mode="json") == found
    assert Image.model_validate(record).model_dump(mode="json") == record


def test_every_reference_in_the_document_resolves(api):
    document = api.client.get("/openapi.json").json()
    text = json.dumps(document)
    schemas = document["components"]["schemas"]

    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names
    assert names <= schemas.keys()


@pytest.mark.parametrize("path", ["/page/../app.py", "/page/%2e%2e/app.py", "/docs/..%2f..%2fapp.py"])
def test_static_files_stay_in_their_folder(api, path):
    assert api.client.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/?duplicates", "/?like=a&collection=b", "/docs?theme=x", "/page/main.js?v"])
def test_the_page_keeps_its_state_in_its_address(api, path):
    assert api.client.get(path).status_code == 200
    assert api.client.head(path).status_code == 200


def test_the_page_and_the_docs_load_nothing_from_elsewhere(api):
    for path in ("/", "/docs"):
        answer = api.client.get(path)
        assert answer.status_code == 200
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "http://" not in answer.text.replace("http://www.w3.org", "")
        assert "https://" not in answer.text


def test_the_accepted_formats_are_the_same_everywhere(api):
    listed = api.client.get("/info").json()["formats"]

    assert listed == list(ACCEPTED_MEDIA_TYPES)
    assert {"image/jpeg", "image/heic", "image/jxl", "image/jp2"} <= set(listed)
    schema = api.client.get("/openapi.json").json()
    assert ACCEPTED_NAMES in schema["info"]["description"]
    assert ACCEPTED_NAMES in schema["paths"]["/search"]["post"]["responses"]["415"]["description"]
    for content, code in ((b"%PDF-1.7", "unsupported_format"), (b"hello", "not_an_image")):
        refused = api.client.post("/search", files={"file": content})
        assert (refused.status_code, refused.json()["code"], refused.json()["accepted"]) == (415, code, listed)
    assert "accepted" not in api.client.get("/images/unknown").json()
