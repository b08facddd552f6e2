"""``lookalike jobs``: list, watch and control jobs."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

import typer

from app.cli.target import KeyOption, UrlOption, open_target
from app.domain.jobs import FINISHED, ItemStatus, JobKind, JobState

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from app.client import AsyncClient

app = typer.Typer(help="List, watch and control jobs.", no_args_is_help=True)
T = TypeVar("T")
Job = dict[str, Any]
JobId = Annotated[str, typer.Argument(help="The job's id, as listed.")]

POLL_S: Final = 0.5
ITEMS_SHOWN: Final = 50


def _with_client(url: str | None, key: str | None, call: "Callable[[AsyncClient], Awaitable[T]]") -> T:
    async def run() -> T:
        async with open_target(url, key) as client:
            return await call(client)

    return asyncio.run(run())


@app.command("list")
def list_jobs(
    *,
    kind: Annotated[JobKind | None, typer.Option("--type", help="Only jobs of this type.")] = None,
    status: Annotated[JobState | None, typer.Option(help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most jobs to list.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """List jobs, newest first."""
    jobs = _with_client(url, key, lambda client: client.jobs(type=kind, status=status, limit=limit))
    if as_json:
        typer.echo(json.dumps(jobs, indent=2))
        return
    from rich.table import Column, Table

    from app.cli.output import add_row, make_console

    table = Table(Column("id", no_wrap=True), "type", "status", "collection", "progress", "failed", "made")
    for job in jobs["items"]:
        failed = job["counts"].get("failed", 0)
        made = job["created_at"][:16].replace("T", " ")
        add_row(
            table,
            job["id"],
            job["type"],
            job["status"],
            job["collection"] or "",
            _progress(job),
            f"{failed:,}" if failed else "",
            made,
        )
    make_console().print(table)


@app.command()
def show(
    job_id: JobId,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="List the items that failed, and why.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Show a job as JSON, or the items that failed."""
    if not failed:
        typer.echo(json.dumps(_with_client(url, key, lambda client: client.job(job_id)), indent=2))
        return
    items = _with_client(
        url, key, lambda client: client.job_items(job_id, status=ItemStatus.FAILED, limit=ITEMS_SHOWN)
    )
    from rich.table import Table

    from app.cli.output import add_row, make_console

    table = Table("place", "name", "code", "why")
    for item in items["items"]:
        add_row(table, str(item["position"]), item["name"], item["error"]["code"], item["error"]["detail"])
    make_console().print(table)
    if items["next_cursor"]:
        make_console(stderr=True).print(f"the first {ITEMS_SHOWN}; GET /jobs/{job_id}/items lists all")


@app.command()
def watch(job_id: JobId, *, url: UrlOption = None, key: KeyOption = None) -> None:
    """Watch a job until it is over, then print what failed; exit with 1 unless it succeeds."""
    job = asyncio.run(_watch(job_id, url, key))
    raise typer.Exit(0 if job["status"] == JobState.SUCCEEDED else 1)


async def _watch(job_id: str, url: str | None, key: str | None) -> Job:
    from rich.progress import BarColumn, Progress, TextColumn

    from app.cli.output import make_console, plain

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    console = make_console(stderr=True)
    job: Job = {}
    async with open_target(url, key) as client:
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(job_id, total=None, text="")
            # The in-process transport does not stream answers, so poll instead.
            async for job in client.follow_job(job_id) if url else _poll(client, job_id):
                _show(bar, task, job)
    console.print(f"{job['status']}: {_progress(job)} {_counts(job)}")
    if job["error"] is not None:
        console.print(plain(f"{job['error']['detail']} ({job['error']['code']})"))
    if job["counts"].get(ItemStatus.FAILED):
        console.print(f"`lookalike jobs show {job_id} --failed` lists what failed, and why")
    if job["counts"].get(ItemStatus.CONFLICT):
        console.print(
            "conflict: another picture is stored under the id; on_duplicate=replace takes the new one"
        )
    return job


async def _poll(client: "AsyncClient", job_id: str) -> AsyncIterator[Job]:
    while True:
        job = await client.job(job_id)
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
    job_id: str, move: Literal["cancel", "pause", "resume", "retry"], url: str | None, key: str | None
) -> None:
    job = _with_client(url, key, lambda client: client.steer_job(job_id, move))
    asked = f" (asked to {job['requested']})" if job["requested"] else ""
    typer.echo(f"job {job_id} is {job['status']}{asked}")


@app.command()
def cancel(job_id: JobId, *, url: UrlOption = None, key: KeyOption = None) -> None:
    """Cancel a job after its current batches; what it has written stays."""
    _steer(job_id, "cancel", url, key)


@app.command()
def pause(job_id: JobId, *, url: UrlOption = None, key: KeyOption = None) -> None:
    """Pause a job after its current batches."""
    _steer(job_id, "pause", url, key)


@app.command()
def resume(job_id: JobId, *, url: UrlOption = None, key: KeyOption = None) -> None:
    """Resume a paused job."""
    _steer(job_id, "resume", url, key)


@app.command()
def retry(job_id: JobId, *, url: UrlOption = None, key: KeyOption = None) -> None:
    """Queue a finished job again: its unfinished parts and failed items."""
    _steer(job_id, "retry", url, key)
