"""``lookalike jobs``: list, watch and control jobs."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from app.cli.terminal.command_group import CommandGroup
from app.cli.terminal.exit_codes import ExitCode
from app.cli.terminal.output import (
    JsonLinesOption,
    JsonOption,
    note,
    print_fields,
    print_json,
    print_json_lines,
    print_table,
    shown_time,
)
from app.cli.terminal.target import KeyOption, UrlOption, as_document, call, open_target
from app.domain.jobs import FINISHED, ItemStatus, JobKind, JobState

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from lookalike_client import AsyncClient
    from lookalike_client import Job as AnsweredJob

app = typer.Typer(cls=CommandGroup, help="List, watch and control jobs.", no_args_is_help=True)
Job = dict[str, Any]
JobId = Annotated[str, typer.Argument(help="The job's id, as listed.")]

POLL_S: Final = 0.5
ITEMS_SHOWN: Final = 50


_CONTROLS: Final[dict[str, "Callable[[AsyncClient, str], Awaitable[AnsweredJob]]"]] = {
    "cancel": lambda client, job_id: client.cancel_job(job_id),
    "pause": lambda client, job_id: client.pause_job(job_id),
    "resume": lambda client, job_id: client.resume_job(job_id),
    "retry": lambda client, job_id: client.retry_job(job_id),
}


@app.command("list")
def list_jobs(
    *,
    kind: Annotated[JobKind | None, typer.Option("--type", help="Only jobs of this type.")] = None,
    status: Annotated[JobState | None, typer.Option(help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of jobs to list.")] = 20,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """List jobs, newest first."""
    jobs = call(
        url,
        key,
        lambda client: client.list_jobs(
            type=None if kind is None else kind.value,
            status=None if status is None else status.value,
            limit=limit,
        ),
    )
    if as_json:
        print_json(jobs)
        return
    rows = [
        (
            job["id"],
            job["type"],
            job["status"],
            job["collection"] or "",
            _progress(job),
            f"{failed:,}" if failed else "",
            shown_time(job["created_at"]),
        )
        for job in jobs["items"]
        for failed in [job["counts"].get("failed", 0)]
    ]
    print_table(("id", "type", "status", "collection", "progress", "failed", "made"), rows)


@app.command()
def show(
    job_id: JobId,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="List the items that failed, and why.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Show a job, or the items that failed."""
    if failed:
        items = call(url, key, lambda client: client.list_job_items(job_id, status="failed", limit=ITEMS_SHOWN))
        if as_json:
            print_json(items)
        else:
            _print_failed(job_id, items)
        return
    job = call(url, key, lambda client: client.get_job(job_id))
    if as_json:
        print_json(job)
        return
    error = job["error"]
    print_fields(
        [
            ("id", job["id"]),
            ("type", job["type"]),
            ("status", job["status"] + (f" (will {job['requested']})" if job["requested"] else "")),
            ("collection", job["collection"] or ""),
            ("progress", _progress(job)),
            ("items", _counts(job)),
            ("created", shown_time(job["created_at"])),
            ("finished", shown_time(job["finished_at"])),
            *([] if error is None else [("error", f"{error['detail']} ({error['code']})")]),
        ]
    )


def _print_failed(job_id: str, items: dict[str, Any]) -> None:
    rows = [
        (str(item["position"]), item["name"], item["error"]["code"], item["error"]["detail"])
        for item in items["items"]
    ]
    print_table(("place", "name", "code", "why"), rows)
    if items["next_cursor"]:
        note(f"the first {ITEMS_SHOWN}; GET /jobs/{job_id}/items lists all")


@app.command()
def watch(
    job_id: JobId, *, as_json: JsonLinesOption = False, url: UrlOption = None, key: KeyOption = None
) -> None:
    """Watch a job until it is over, then print what failed; exit with 1 unless it succeeds."""
    import asyncio

    try:
        job = asyncio.run(_watch(job_id, url, key, as_json=as_json))
    except KeyboardInterrupt:
        note(f"the job continues; `lookalike jobs watch {job_id}` follows it again")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    raise typer.Exit(ExitCode.OK if job["status"] == JobState.SUCCEEDED else ExitCode.ITEMS_FAILED)


async def _watch(job_id: str, url: str | None, key: str | None, *, as_json: bool) -> Job:
    job: Job = {}
    async with open_target(url, key) as client:
        changes = _poll(client, job_id)
        if as_json:
            async for job in changes:
                print_json_lines([job])
            return job
        job = await _show_until_done(job_id, changes)
    note(f"{job['status']}: {_progress(job)} {_counts(job)}")
    if job["error"] is not None:
        note(f"{job['error']['detail']} ({job['error']['code']})")
    if job["counts"].get(ItemStatus.FAILED):
        note(f"`lookalike jobs show {job_id} --failed` lists what failed, and why")
    if job["counts"].get(ItemStatus.CONFLICT):
        note("conflict: another picture is stored under the id; on_duplicate=replace takes the new one")
    return job


async def _show_until_done(job_id: str, changes: AsyncIterator[Job]) -> Job:
    from rich.progress import BarColumn, Progress, TextColumn

    from app.cli.terminal.output import make_console

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    job: Job = {}
    with Progress(*columns, console=make_console(stderr=True), transient=True) as bar:
        task = bar.add_task(job_id, total=None, text="")
        async for job in changes:
            _show(bar, task, job)
    return job


async def _poll(client: "AsyncClient", job_id: str) -> AsyncIterator[Job]:
    import asyncio

    while True:
        job: Job = as_document(await client.get_job(job_id))
        yield job
        if job["status"] in FINISHED:
            return
        await asyncio.sleep(POLL_S)


def _show(bar: "Progress", task: "TaskID", job: Job) -> None:
    progress = job["progress"]
    bar.update(
        task,
        description=progress["phase"] or job["status"],
        completed=progress["done"],
        total=progress["total"],
        text=_progress(job),
    )


def _progress(job: Job) -> str:
    progress = job["progress"]
    text = f"{progress['done']:,}" + ("" if progress["total"] is None else f" of {progress['total']:,}")
    if job["status"] == JobState.RUNNING and progress["rate_per_s"]:
        text += f", {progress['rate_per_s']:,.1f}/s"
    if job["status"] == JobState.RUNNING and progress["eta_s"] is not None:
        text += f", {progress['eta_s']:,.0f} s left"
    return text


def _counts(job: Job) -> str:
    return ", ".join(f"{count:,} {status}" for status, count in sorted(job["counts"].items()))


def _steer(
    job_id: str,
    move: Literal["cancel", "pause", "resume", "retry"],
    url: str | None,
    key: str | None,
    *,
    as_json: bool,
) -> None:
    job = call(url, key, lambda client: _CONTROLS[move](client, job_id))
    if as_json:
        print_json(job)
    else:
        asked = f" (asked to {job['requested']})" if job["requested"] else ""
        typer.echo(f"job {job_id} is {job['status']}{asked}")


@app.command()
def cancel(job_id: JobId, *, as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None) -> None:
    """Cancel a job after its current batches; what it has written stays."""
    _steer(job_id, "cancel", url, key, as_json=as_json)


@app.command()
def pause(job_id: JobId, *, as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None) -> None:
    """Pause a job after its current batches."""
    _steer(job_id, "pause", url, key, as_json=as_json)


@app.command()
def resume(job_id: JobId, *, as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None) -> None:
    """Resume a paused job."""
    _steer(job_id, "resume", url, key, as_json=as_json)


@app.command()
def retry(job_id: JobId, *, as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None) -> None:
    """Queue a finished job again, for its unfinished parts and failed items."""
    _steer(job_id, "retry", url, key, as_json=as_json)
