"""What the clients send again, how often, and what they raise in the end."""

import asyncio
import io
import json
import os

import httpx2
import pytest

from lookalike_client import AsyncClient, Client, NoAnswer, ServiceError, TooBusy, UnexpectedAnswer
from tests.client.conftest import URL

HEALTHY = {"status": "ok"}
ADDED = {"items": [], "counts": {}, "index_version": 1}


class Service:
    """Answers in turn; the last answer again and again."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []
        self.waits: list[float] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def refusal(status=503, code="overloaded", retry_after="0") -> httpx2.Response:
    body = {"status": status, "code": code, "detail": "Later.", "request_id": "r1"}
    return httpx2.Response(status, json=body, headers={"Retry-After": retry_after} if retry_after else {})


@pytest.fixture(params=["blocking", "async"])
def connect(request, monkeypatch):
    """Makes a client of a ``Service``; waits are recorded instead of waited."""

    def run(service: Service, **options):
        monkeypatch.setattr("time.sleep", service.waits.append)

        async def wait(seconds: float) -> None:
            service.waits.append(seconds)

        monkeypatch.setattr("asyncio.sleep", wait)
        if request.param == "blocking":
            return Client(URL, key="", transport=httpx2.MockTransport(service), **options)
        return Waited(AsyncClient(URL, key="", transport=httpx2.MockTransport(service), **options))

    return run


class Waited:
    """An ``AsyncClient`` whose coroutines are waited for."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def __getattr__(self, name: str):
        async def wait_for(answer):
            if hasattr(answer, "__aiter__"):
                return [item async for item in answer]
            return await answer

        return lambda *args, **options: asyncio.run(wait_for(getattr(self._client, name)(*args, **options)))


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_read_is_sent_again_after_the_time_that_the_service_names(connect, status):
    service = Service(refusal(status, retry_after="7"), httpx2.Response(200, json=HEALTHY))

    assert connect(service).get_health().status == "ok"
    assert service.waits == [7.0]


def test_without_a_named_time_pauses_grow_and_attempts_are_bounded(connect):
    service = Service(refusal(retry_after=None))

    with pytest.raises(TooBusy) as caught:
        connect(service, retries=2).get_health()

    assert len(service.requests) == 3
    assert service.waits[0] < service.waits[1] < 1
    assert (caught.value.code, caught.value.request_id) == ("overloaded", "r1")


def test_a_wait_longer_than_the_bound_is_left_to_the_caller(connect):
    service = Service(refusal(retry_after="20"))

    with pytest.raises(TooBusy) as caught:
        connect(service, max_wait_s=30).get_health()

    assert service.waits == [20.0]
    assert caught.value.retry_after_s == 20.0


def test_a_write_is_repeated_under_one_idempotency_key(connect):
    service = Service(
        httpx2.ReadError("reset"), refusal(409, "request_in_flight", None), httpx2.Response(201, json=ADDED)
    )

    connect(service).add_pictures([b"picture"])

    keys = [request.headers["idempotency-key"] for request in service.requests]
    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_two_writes_have_two_keys_unless_the_caller_gives_one(connect):
    service = Service(httpx2.Response(201, json=ADDED))
    client = connect(service)

    client.add_pictures([b"picture"])
    client.add_pictures([b"picture"])
    client.add_pictures([b"picture"], idempotency_key="mine")

    keys = [request.headers["idempotency-key"] for request in service.requests]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


def test_a_key_is_created_once_even_if_the_service_is_busy(connect):
    service = Service(refusal())

    with pytest.raises(TooBusy):
        connect(service).create_key("name", "search")

    assert len(service.requests) == 1


def test_a_deletion_is_not_repeated_after_a_lost_answer_but_after_a_lost_connection(connect):
    lost = Service(httpx2.ReadError("reset"))
    with pytest.raises(NoAnswer) as caught:
        connect(lost).delete_picture("a")
    assert (len(lost.requests), caught.value.status, caught.value.code) == (1, 0, "no_answer")

    unreached = Service(httpx2.ConnectError("refused"), httpx2.Response(204))
    connect(unreached).delete_picture("a")
    assert len(unreached.requests) == 2


def test_a_file_is_sent_whole_each_time(connect, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"whole archive")
    service = Service(refusal(), refusal(503, "stopping", "0"))

    for upload in (path, io.BytesIO(b"whole archive"), b"whole archive"):
        with pytest.raises(TooBusy):
            connect(service, retries=1).import_upload(archive=upload)

    assert len(service.requests) == 6
    assert all(b"whole archive" in request.content for request in service.requests)


def test_an_upload_that_cannot_be_rewound_is_sent_once(connect):
    service = Service(refusal())
    readable, writable = os.pipe()
    os.write(writable, b"archive")
    os.close(writable)

    with os.fdopen(readable, "rb") as pipe, pytest.raises(TooBusy):
        connect(service).import_upload(archive=pipe)

    assert len(service.requests) == 1


def test_what_is_not_of_this_service_is_an_unexpected_answer(connect):
    for answer in (
        httpx2.Response(200, text="<html>"),
        httpx2.Response(200, json={"other": 1}),
        httpx2.Response(302, headers={"location": "https://elsewhere.example/healthz"}),
    ):
        with pytest.raises(UnexpectedAnswer):
            connect(Service(answer)).get_health()


def test_an_error_of_a_proxy_keeps_its_status(connect):
    with pytest.raises(ServiceError) as caught:
        connect(Service(httpx2.Response(404, text="nginx"))).get_health()

    assert (caught.value.status, caught.value.code, caught.value.field) == (404, "error", None)


def test_fields_of_newer_services_are_ignored(connect):
    service = Service(httpx2.Response(200, json={**HEALTHY, "later": {"a": 1}}))

    assert connect(service).get_health().status == "ok"


JOB = {
    "id": "j",
    "type": "index",
    "status": "running",
    "requested": None,
    "collection": None,
    "arguments": {},
    "progress": {"phase": None, "done": 0, "total": None, "percent": None, "rate_per_s": 0, "eta_s": None},
    "counts": {},
    "result": None,
    "error": None,
    "created_at": "2026-11-24T21:30:00Z",
    "started_at": None,
    "updated_at": "2026-11-24T21:30:00Z",
    "finished_at": None,
    "links": {"events": "", "items": "", "failed_items": ""},
}


def events(*statuses: str) -> httpx2.Response:
    text = "retry: 1000\n\n: still here\n\n" + "".join(
        f"event: progress\ndata: {json.dumps({**JOB, 'status': status})}\n\n" for status in statuses
    )
    return httpx2.Response(200, text=text, headers={"content-type": "text/event-stream"})


def test_a_stream_of_events_that_breaks_is_opened_again_until_the_job_is_over(connect):
    service = Service(events("queued", "running"), refusal(), events("running", "succeeded"))

    jobs = list(connect(service).stream_job_events("j"))

    assert [job.status for job in jobs] == ["queued", "running", "running", "succeeded"]
    assert len(service.requests) == 3


def test_a_stream_without_progress_is_given_up(connect):
    service = Service(events("running"), events())

    with pytest.raises(NoAnswer):
        list(connect(service, retries=2).stream_job_events("j"))

    assert len(service.requests) == 3


def test_the_environment_names_service_and_key(monkeypatch):
    monkeypatch.setenv("LOOKALIKE_URL", "https://proxy.example/pictures/")
    monkeypatch.setenv("LOOKALIKE_KEY", "lk_env")
    service = Service(httpx2.Response(200, json=HEALTHY))

    with Client(transport=httpx2.MockTransport(service)) as client:
        client.get_health()
    with Client(key="", transport=httpx2.MockTransport(service)) as client:
        client.get_health()

    assert str(service.requests[0].url) == "https://proxy.example/pictures/healthz"
    assert service.requests[0].headers["authorization"] == "Bearer lk_env"
    assert "authorization" not in service.requests[1].headers


@pytest.mark.parametrize(("url", "key"), [("localhost:8000", ""), (URL, "clé"), (URL, "a\nb")])
def test_a_url_or_key_that_cannot_work_is_refused_at_once(url, key):
    with pytest.raises(ValueError, match="must"):
        Client(url, key=key)


def test_json_that_is_nested_too_deeply_is_an_unexpected_answer(connect):
    nested = b"[" * 200_000
    events = b"data: " + nested + b"\n\n"
    with pytest.raises(UnexpectedAnswer):
        connect(Service(httpx2.Response(200, content=nested))).get_health()
    with pytest.raises(UnexpectedAnswer):
        list(connect(Service(httpx2.Response(200, content=events))).stream_job_events("j"))
    with pytest.raises(ServiceError) as caught:
        connect(Service(httpx2.Response(500, content=nested))).get_health()
    assert caught.value.status == 500


def test_the_status_line_counts_and_not_what_the_body_says(connect):
    body = {"status": 200, "code": "overloaded", "detail": "Later."}
    service = Service(httpx2.Response(503, json=body), httpx2.Response(200, json=HEALTHY))
    assert connect(service).get_health().status == "ok"


@pytest.mark.parametrize(
    "answer", [httpx2.ConnectError("refused"), httpx2.Response(302), httpx2.Response(200, content=b"no")]
)
def test_no_error_shows_the_password_of_the_url(answer):
    transport = httpx2.MockTransport(Service(answer))
    client = Client("https://me:pw1234@service.example", key="", transport=transport, retries=0)
    with client, pytest.raises(ServiceError) as caught:
        client.get_health()
    assert "https://me@service.example" in str(caught.value)
    assert "pw1234" not in str(caught.value)


def broken_gzip() -> httpx2.Response:
    return httpx2.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx2.ByteStream(b"no gzip"))


def test_an_answer_that_cannot_be_unpacked_is_an_unexpected_answer(connect):
    for ask in (
        lambda client: client.get_health(),
        lambda client: list(client.stream_job_events("j")),
        lambda client: list(client.export_collection()),
    ):
        service = Service(broken_gzip())
        with pytest.raises(UnexpectedAnswer, match="did not answer as Lookalike does"):
            ask(connect(service))
        assert len(service.requests) == 1


def page(cursor: str | None) -> httpx2.Response:
    return httpx2.Response(200, json={"items": [], "total": 0, "next_cursor": cursor})


@pytest.mark.parametrize("cursors", [["a", "a"], ["a", "b", "a"]])
def test_a_list_that_repeats_a_page_ends_with_an_error(connect, cursors):
    service = Service(*map(page, cursors))

    with pytest.raises(UnexpectedAnswer, match="earlier page"):
        list(connect(service).iter_collections())

    assert len(service.requests) == len(cursors)
