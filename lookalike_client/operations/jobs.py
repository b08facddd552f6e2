"""List, follow and control jobs."""

from lookalike_client.answers.jobs import Job, JobItemList, JobList
from lookalike_client.calls import Call, Streaming, answer, as_text, given, nothing, once, path
from lookalike_client.inputs import ItemStatus, JobKind, JobState
from lookalike_client.operations.pictures import import_pictures
from lookalike_client.streams import JobEvents


def list_jobs(
    *,
    type: JobKind | None = None,
    status: JobState | None = None,
    collection: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[JobList]:
    """Return a page of jobs, newest first.

    Args:
        type: Only jobs of this type.
        status: Only jobs in this state.
        collection: Only jobs on this collection.
        limit: Most jobs of a page.
        cursor: ``next_cursor`` of the previous page.
    """
    params = given(type=type, status=status, collection=collection, limit=limit, cursor=cursor)
    return Call("GET", "/jobs", answer(JobList), params=as_text(params))


def get_job(job_id: str) -> Call[Job]:
    """Return a job with its progress."""
    return Call("GET", path("jobs", job_id), answer(Job))


def list_job_items(
    job_id: str, *, status: ItemStatus | None = None, limit: int | None = None, cursor: str | None = None
) -> Call[JobItemList]:
    """Return a page of the outcomes of a job's items, in source order.

    Args:
        job_id: Id of the job.
        status: Only items with this outcome.
        limit: Most items of a page.
        cursor: ``next_cursor`` of the previous page.
    """
    params = as_text(given(status=status, limit=limit, cursor=cursor))
    return Call("GET", path("jobs", job_id, "items"), answer(JobItemList), params=params)


def cancel_job(job_id: str) -> Call[Job]:
    """Cancel a job after its current batches; what it has written stays."""
    return _control(job_id, "cancel")


def pause_job(job_id: str) -> Call[Job]:
    """Pause a job after its current batches."""
    return _control(job_id, "pause")


def resume_job(job_id: str) -> Call[Job]:
    """Continue a paused job."""
    return _control(job_id, "resume")


def retry_job(job_id: str) -> Call[Job]:
    """Queue a finished job again, for its unfinished parts and failed items."""
    return _control(job_id, "retry")


def _control(job_id: str, verb: str) -> Call[Job]:
    return Call("POST", path("jobs", job_id, verb), answer(Job), headers=once(None))


def stream_job_events(job_id: str) -> Streaming[Job]:
    """Yield a job now and after each change, until it is over.

    A stream that ends early is opened again, as often as the client retries a request without progress.
    """
    call = Call("GET", path("jobs", job_id, "events"), nothing)
    return Streaming(call, JobEvents, is_last=lambda job: job.is_over)


start_import = import_pictures
