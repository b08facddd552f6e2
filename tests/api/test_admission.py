"""Each lane has its own places and bytes: what fills one leaves the others alone."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse

from app.api.app import create_app
from app.api.middleware import budgets
from app.api.middleware.admission import Admission
from app.api.middleware.budgets import Budget
from app.api.middleware.lanes import Lane, lane_of
from app.domain.errors import Overloaded
from tests.api.conftest import assert_problem, local_client

pytestmark = pytest.mark.anyio


class Service:
    """An application behind ``Admission`` that reads each body, then waits until it may answer."""

    def __init__(
        self,
        *,
        max_requests: int = 2,
        max_per_caller: int = 99,
        max_arriving: int = 100,
        max_bytes: int = 1000,
    ) -> None:
        lanes = {
            lane: Budget(
                max_requests=max_requests,
                max_per_caller=max_per_caller,
                max_arriving=max_arriving,
                max_bytes=max_bytes,
                slow_bytes_per_s=10**9,
            )
            for lane in Lane
        }
        self.may_answer = asyncio.Event()
        self.admission = Admission(self._app, budgets=lanes, drain_bytes=0)

    async def _app(self, scope, receive, send) -> None:
        body = await Request(scope, receive).body()
        await self.may_answer.wait()
        await PlainTextResponse(str(len(body)))(scope, receive, send)

    def request(
        self, method: str, path: str, *, length: int | None = 4, address: str = "127.0.0.1"
    ) -> "Exchange":
        return Exchange(self.admission, method, path, length, address)


class Exchange:
    """One request whose body is sent in pieces by the test."""

    def __init__(self, app, method: str, path: str, length: int | None, address: str) -> None:
        self.asked = 0
        self.status = None
        self.headers = {}
        self._pieces = asyncio.Queue()
        headers = [(b"content-type", b"application/json")]
        headers.append(
            (b"transfer-encoding", b"chunked") if length is None else (b"content-length", b"%d" % length)
        )
        scope = {
            "type": "http", "method": method, "path": path, "headers": headers, "query_string": b"",
            "state": {"request_id": "r"}, "client": (address, 1),
        }  # fmt: skip
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self):
        self.asked += 1
        return await self._pieces.get()

    async def _send(self, message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message["headers"])

    async def sends(self, size: int, *, more: bool = False) -> None:
        self._pieces.put_nowait({"type": "http.request", "body": b"x" * size, "more_body": more})
        await settled()

    async def answer(self) -> int:
        await asyncio.wait_for(self.task, 5)
        return self.status


async def settled() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def running(**limits):
    service = Service(**limits)
    yield service
    service.may_answer.set()


@pytest.mark.parametrize(
    ("method", "path", "kind", "lane"),
    [
        ("POST", "/search", "multipart/form-data; boundary=x", Lane.SEARCH),
        ("POST", "/v1/search", "application/json", Lane.SEARCH),
        ("POST", "/search/batch", "application/json", Lane.SEARCH),
        ("POST", "/compare", "application/json", Lane.SEARCH),
        ("GET", "/images/a/similar", "", Lane.SEARCH),
        ("GET", "/duplicates", "", Lane.SEARCH),
        ("GET", "/v1/images", "", Lane.SEARCH),
        ("GET", "/images/a/thumbnail", "", Lane.SEARCH),
        ("GET", "/collections/c/distances", "", Lane.SEARCH),
        ("GET", "/export", "", Lane.EXPORT),
        ("GET", "/v1/collections/c/labels", "", Lane.EXPORT),
        ("GET", "/images/a", "", None),
        ("GET", "/healthz", "", None),
        ("POST", "/index", "multipart/form-data; boundary=x", Lane.UPLOAD),
        ("POST", "/v1/index", "application/zip", Lane.UPLOAD),
        ("POST", "/admin/jobs/index", "text/csv", Lane.UPLOAD),
        ("POST", "/index", "application/json", Lane.WRITE),
        ("PUT", "/images/a", "image/png", Lane.UPLOAD),
        ("PUT", "/images/a", "application/json", Lane.WRITE),
        ("PATCH", "/images/a", "application/json", Lane.WRITE),
        ("DELETE", "/images/a", "", Lane.WRITE),
        ("POST", "/images/delete", "application/json", Lane.WRITE),
    ],
)
def test_requests_are_sorted_by_what_they_cost(method, path, kind, lane):
    headers = [(b"content-type", kind.encode())] if kind else []
    assert lane_of({"type": "http", "method": method, "path": path, "headers": headers}) is lane


CHEAP_READS = {
    # Single records and short lists.
    "/images/{image_id}", "/duplicates/different", "/collections", "/collections/{name}",
    "/collections/{name}/calibration", "/models", "/models/{name}/report", "/jobs", "/jobs/{job_id}",
    "/jobs/{job_id}/items", "/admin/keys", "/admin/keys/{key_id}", "/admin/backups",
    # The operator needs them most while the service is busy.
    "/healthz", "/readyz", "/info", "/admin/system", "/metrics",
    # Limited by the connection: the server reads a file as its client takes it, and counts event streams.
    "/images/{image_id}/content", "/jobs/{job_id}/events",
}  # fmt: skip


def test_each_read_of_the_document_has_a_lane_or_is_known_to_be_cheap(client):
    paths = client.get("/openapi.json").json()["paths"]
    reads = {path for path, operations in paths.items() if "get" in operations}

    without_lane = {
        path
        for path in reads
        if lane_of({"type": "http", "method": "GET", "path": path.replace("{", "").replace("}", "")}) is None
    }

    assert without_lane == CHEAP_READS


async def test_blocked_writers_leave_searches_alone_and_the_next_write_is_refused_unread():
    async with running() as service:
        writers = [service.request("DELETE", f"/images/{i}", length=0) for i in range(2)]
        await settled()
        refused = service.request("PATCH", "/images/a")
        assert await refused.answer() == 503
        assert refused.asked == 0
        assert int(refused.headers[b"retry-after"]) >= 1

        search = service.request("POST", "/search")
        await search.sends(4)
        service.may_answer.set()
        for writer in writers:
            await writer.sends(0)
            assert await writer.answer() == 200
        assert await search.answer() == 200


async def test_bodies_that_are_on_their_way_take_no_place():
    async with running() as service:
        slow = [service.request("POST", "/search", length=100) for _ in range(50)]
        for one in slow:
            await one.sends(1, more=True)
        search = service.request("POST", "/search")
        await search.sends(4)
        service.may_answer.set()
        assert await search.answer() == 200
        for one in slow:
            one.task.cancel()


async def test_bodies_that_complete_together_get_as_many_places_as_there_are():
    async with running() as service:
        requests = [service.request("POST", "/search") for _ in range(5)]
        for one in requests:
            await one.sends(4)
        assert [one.status for one in requests] == [None, None, 503, 503, 503]
        service.may_answer.set()
        assert [await one.answer() for one in requests] == [200, 200, 503, 503, 503]
        again = service.request("POST", "/search")
        await again.sends(4)
        assert await again.answer() == 200


async def test_a_body_for_which_there_is_no_room_is_refused_unread_and_a_lane_without_any_takes_every_size():
    async with running(max_requests=9) as service:
        first = service.request("POST", "/search", length=5000)
        await first.sends(5000)
        assert first.status is None
        second = service.request("POST", "/search", length=1)
        assert await second.answer() == 503
        assert second.asked == 0
        elsewhere = service.request("PATCH", "/images/a")
        await elsewhere.sends(4)
        assert elsewhere.status is None
        service.may_answer.set()
        assert await first.answer() == await elsewhere.answer() == 200


async def test_an_undeclared_body_is_cut_where_the_room_ends():
    async with running(max_requests=9) as service:
        held = service.request("POST", "/search", length=900)
        await held.sends(900)
        growing = service.request("POST", "/search", length=None)
        await growing.sends(50, more=True)
        assert growing.status is None
        await growing.sends(60, more=True)
        assert await growing.answer() == 503


async def test_a_slow_body_makes_room_for_others(monkeypatch):
    monkeypatch.setattr(budgets, "GRACE_S", 0.0)
    async with running(max_requests=9) as service:
        slow = service.request("POST", "/search", length=None)
        await slow.sends(990, more=True)
        search = service.request("POST", "/search", length=500)
        await search.sends(500)
        assert await slow.answer() == 503
        service.may_answer.set()
        assert await search.answer() == 200


async def test_a_body_that_cannot_fit_evicts_nobody(monkeypatch):
    monkeypatch.setattr(budgets, "GRACE_S", 0.0)
    async with running() as service:
        slow = service.request("POST", "/search", length=None)
        await slow.sends(10, more=True)
        fast = service.request("POST", "/search", length=600)
        await fast.sends(600)
        refused = service.request("POST", "/search", length=500)
        assert (await refused.answer(), refused.asked) == (503, 0)

        service.may_answer.set()
        await slow.sends(10)
        assert await slow.answer() == 200
        assert await fast.answer() == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/duplicates"), ("DELETE", "/images/a")])
async def test_a_body_that_no_route_reads_does_not_avoid_the_places(method, path):
    async with running(max_requests=2) as service:
        first = [service.request(method, path, length=4) for _ in range(2)]
        await settled()
        refused = service.request(method, path, length=4)
        assert (await refused.answer(), refused.asked) == (503, 0)

        service.may_answer.set()
        for one in first:
            await one.sends(4)
            assert await one.answer() == 200


async def test_past_a_number_of_bodies_on_their_way_the_slow_ones_are_cut(monkeypatch):
    async with running(max_arriving=3) as service:
        arriving = [service.request("POST", "/search", length=9) for _ in range(3)]
        await settled()
        refused = service.request("POST", "/search")
        assert (await refused.answer(), refused.asked) == (503, 0)

        monkeypatch.setattr(budgets, "GRACE_S", 0.0)
        search = service.request("POST", "/search")
        await search.sends(4)
        service.may_answer.set()
        assert await search.answer() == 200
        assert await arriving[0].answer() == 503
        assert arriving[1].status is None
        for one in arriving[1:]:
            await one.sends(9)
            assert await one.answer() == 200


async def test_refused_requests_are_told_to_return_at_different_times():
    async with running(max_requests=3, max_per_caller=2) as service:
        for _ in range(2):
            await service.request("POST", "/search").sends(4)
        waits = []
        for _ in range(6):
            refused = service.request("POST", "/search")
            assert await refused.answer() == 429
            waits.append(int(refused.headers[b"retry-after"]))

        assert sorted(waits) == [1, 1, 2, 2, 3, 3]


async def test_one_caller_leaves_places_for_others():
    async with running(max_requests=3, max_per_caller=2) as service:
        many = [service.request("POST", "/search") for _ in range(3)]
        for one in many:
            await one.sends(4)
        assert await many[2].answer() == 429
        refused = service.request("POST", "/search")
        assert (await refused.answer(), refused.asked) == (429, 0)
        assert int(refused.headers[b"retry-after"]) >= 1
        other = service.request("POST", "/search", address="192.0.2.1")
        await other.sends(4)
        full = service.request("POST", "/search", address="192.0.2.2")
        assert await full.answer() == 503
        service.may_answer.set()
        assert [await one.answer() for one in (*many[:2], other)] == [200, 200, 200]


async def test_a_client_that_leaves_gives_back_what_it_held():
    async with running(max_requests=1) as service:
        leaving = service.request("POST", "/search", length=900)
        await leaving.sends(800, more=True)
        leaving._pieces.put_nowait({"type": "http.disconnect"})
        with pytest.raises(ClientDisconnect):
            await leaving.answer()
        search = service.request("POST", "/search", length=900)
        await search.sends(900)
        service.may_answer.set()
        assert await search.answer() == 200


def test_a_request_that_can_never_be_admitted_is_told_so_by_a_full_lane(settings, monkeypatch):
    def is_full(*_) -> None:
        raise Overloaded

    with local_client(create_app(settings, load_first=True)) as client:
        monkeypatch.setattr(Budget, "check", is_full)
        json_body = {"Content-Type": "application/json"}
        too_large = client.post("/images/delete", content=b" " * 3_000_000, headers=json_body)
        assert_problem(too_large, 413, "request_too_large")
        wrong_kind = client.post("/images/delete", content=b"x", headers={"Content-Type": "text/plain"})
        assert_problem(wrong_kind, 415, "unsupported_media_type")
        assert_problem(client.post("/images/delete", json={"ids": []}), 503, "overloaded")
