"""A worker inside the app under test, and what tests of imports ask for most."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.bootstrap import worker_services
from app.worker.loop import work


@contextmanager
def working(client) -> Iterator[None]:
    """Jobs are done while this is open."""
    stop: asyncio.Event = client.portal.call(_new_event)
    done = client.portal.start_task_soon(work, worker_services(client.app.state.services), stop)
    try:
        yield
    finally:
        client.portal.call(stop.set)
        done.result(60)


async def _new_event() -> asyncio.Event:
    return asyncio.Event()


def finished(client, job_id: str, within_s: float = 60.0) -> dict:
    """The job once it is over."""
    end = time.monotonic() + within_s
    while (job := client.get(f"/jobs/{job_id}").json())["status"] in {"queued", "running"}:
        assert time.monotonic() < end, job
        time.sleep(0.02)
    return job


def items_of(client, job_id: str, **wanted) -> list[dict]:
    """Every item of a job, page by page."""
    items, cursor = [], None
    while True:
        page = client.get(f"/jobs/{job_id}/items", params={**wanted, **({"cursor": cursor} if cursor else {})})
        items += page.json()["items"]
        cursor = page.json()["next_cursor"]
        if cursor is None:
            return items
