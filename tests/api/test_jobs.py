"""``/jobs``: what callers see of jobs and how they steer them."""

import json

import pytest

from app.domain.access import Scope
from app.domain.jobs import ItemStatus, JobItemRecord, JobKind
from tests.api.conftest import assert_problem
from tests.api.test_access import bearer, make_key


class Jobs:
    """Jobs as workers would leave them, made through the services of the app under test."""

    def __init__(self, client) -> None:
        self._client = client
        self._services = client.app.state.services

    def start(self, kind=JobKind.INDEX, arguments=None, **options) -> str:
        view = self._client.portal.call(lambda: self._services.jobs.start(kind, arguments or {}, **options))
        return view.record.id

    def claim(self):
        async def work():
            async with self._services.database.write() as unit:
                return await unit.leases.claim("w", lease_s=60, kinds=list(JobKind), max_strikes=3)

        return self._client.portal.call(work)

    def checkpoint(self, lease, items, **changes) -> None:
        async def work():
            async with self._services.database.write() as unit:
                await unit.leases.checkpoint(lease, {}, items=items, done=len(items), **changes)

        self._client.portal.call(work)

    def finish(self, lease) -> None:
        async def work():
            async with self._services.database.write() as unit:
                await unit.leases.finish(lease, {"pictures": 3})

        self._client.portal.call(work)


@pytest.fixture
def jobs(client) -> Jobs:
    return Jobs(client)


ITEMS = [
    JobItemRecord(0, ItemStatus.CREATED, "a.jpg", "sha256:aa"),
    JobItemRecord(1, ItemStatus.FAILED, "b.jpg", None, "not_an_image", "no picture"),
    JobItemRecord(2, ItemStatus.FAILED, "c.jpg", None, "not_an_image", "no picture"),
]


def done_job(jobs: Jobs) -> str:
    job_id = jobs.start(collection="default")
    lease = jobs.claim()
    jobs.checkpoint(lease, ITEMS, phase="encoding", total=3, rate_per_s=1.5)
    jobs.finish(lease)
    return job_id


def test_a_job_shows_its_progress_and_its_counts(client, jobs):
    job_id = jobs.start(arguments={"name": "a.zip"}, collection="default")
    jobs.checkpoint(jobs.claim(), ITEMS, phase="encoding", total=6, rate_per_s=1.5)

    job = client.get(f"/jobs/{job_id}").json()

    assert (job["type"], job["status"], job["collection"]) == ("index", "running", "default")
    assert job["arguments"] == {"name": "a.zip", "collection": "default"}
    assert job["progress"] == {
        "phase": "encoding",
        "done": 3,
        "total": 6,
        "percent": 50.0,
        "rate_per_s": 1.5,
        "eta_s": 2.0,
    }
    assert job["counts"] == {"created": 1, "failed": 2}
    assert job["links"]["failed_items"] == f"/jobs/{job_id}/items?status=failed"


def test_jobs_are_listed_from_the_newest_by_filter_and_page(client, jobs):
    first, second = jobs.start(collection="default"), jobs.start()
    train = jobs.start(JobKind.TRAIN)
    client.post(f"/jobs/{first}/cancel")

    def ids(**wanted):
        return [job["id"] for job in client.get("/jobs", params=wanted).json()["items"]]

    assert ids() == [train, second, first]
    assert ids(type="train") == [train]
    assert ids(status="cancelled") == [first]
    assert ids(collection="default") == [first]
    page = client.get("/jobs", params={"limit": 2}).json()
    assert ids(limit=2, cursor=page["next_cursor"]) == [first]
    assert_problem(
        client.get("/jobs", params={"cursor": page["next_cursor"], "type": "train"}), 422, "validation_failed"
    )
    assert_problem(client.get("/jobs", params={"collection": "none"}), 404, "unknown_collection")
    assert_problem(client.get("/jobs", params={"status": "odd"}), 422, "validation_failed")


def test_items_are_paged_and_filtered(client, jobs):
    job_id = done_job(jobs)

    failed = client.get(f"/jobs/{job_id}/items", params={"status": "failed", "limit": 1}).json()
    rest = client.get(
        f"/jobs/{job_id}/items", params={"status": "failed", "limit": 1, "cursor": failed["next_cursor"]}
    ).json()

    assert failed["items"] == [
        {
            "position": 1,
            "status": "failed",
            "name": "b.jpg",
            "id": None,
            "error": {"code": "not_an_image", "detail": "no picture"},
        }
    ]
    assert [item["position"] for item in rest["items"]] == [2]
    assert rest["next_cursor"] is None
    assert len(client.get(f"/jobs/{job_id}/items").json()["items"]) == 3


def test_a_job_is_paused_resumed_cancelled_and_retried(client, jobs):
    job_id = jobs.start()

    assert client.post(f"/jobs/{job_id}/pause").json()["status"] == "paused"
    resumed = client.post(f"/jobs/{job_id}/resume")
    assert (resumed.status_code, resumed.json()["status"]) == (202, "queued")
    assert resumed.headers["location"] == f"/jobs/{job_id}"
    assert int(resumed.headers["retry-after"]) >= 1
    assert_problem(client.post(f"/jobs/{job_id}/resume"), 409, "job_not_resumable")
    assert client.post(f"/jobs/{job_id}/cancel").json()["status"] == "cancelled"
    assert_problem(client.post(f"/jobs/{job_id}/cancel"), 409, "job_not_cancellable")
    assert_problem(client.post(f"/jobs/{job_id}/pause"), 409, "job_not_resumable")
    assert client.post(f"/jobs/{job_id}/retry").json()["status"] == "queued"


def test_a_running_job_says_what_it_was_asked_for(client, jobs):
    job_id = jobs.start()
    jobs.claim()

    asked = client.post(f"/jobs/{job_id}/cancel").json()

    assert (asked["status"], asked["requested"]) == ("running", "cancel")


def test_only_what_failed_is_tried_again(client, jobs):
    job_id = done_job(jobs)

    again = client.post(f"/jobs/{job_id}/retry").json()

    assert (again["status"], again["progress"]["done"]) == ("queued", 1)
    assert jobs.claim().part_arguments == {"positions": [1, 2]}


@pytest.mark.parametrize("path", ["", "/items", "/events"])
def test_an_unknown_job_is_not_found(client, path):
    assert_problem(client.get(f"/jobs/none{path}"), 404, "unknown_job")


@pytest.mark.parametrize("move", ["cancel", "pause", "resume", "retry"])
def test_an_unknown_job_cannot_be_steered(client, move):
    assert_problem(client.post(f"/jobs/none/{move}"), 404, "unknown_job")


def test_events_tell_of_a_job_until_it_is_over(client, jobs):
    job_id = done_job(jobs)

    answer = client.get(f"/jobs/{job_id}/events")

    assert answer.headers["content-type"].startswith("text/event-stream")
    event, data = (line.partition(": ") for line in answer.text.strip().splitlines()[-2:])
    assert event == ("event", ": ", "end")
    job = json.loads(data[2])
    assert job == client.get(f"/jobs/{job_id}").json()
    assert job["result"] == {"pictures": 3}


def test_where_keys_are_in_use_the_event_address_is_signed(settings, client, jobs):
    job_id = done_job(jobs)
    key = make_key(settings, Scope.READ).text
    for _ in range(100):
        if client.get("/jobs").status_code == 401:
            break

    links = client.get(f"/jobs/{job_id}", headers=bearer(key)).json()["links"]

    assert client.get(links["events"]).status_code == 200
    assert_problem(client.get(f"/jobs/{job_id}/events"), 401, "unauthenticated")
    assert_problem(client.get(links["events"].replace(job_id, "other")), 401, "unauthenticated")
