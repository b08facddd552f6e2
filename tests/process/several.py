"""Servers and workers that share a database and a picture store, and a second model for them to switch to."""

import asyncio
import io
import os
import shutil
import signal
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from app.bootstrap import open_serving
from app.encoding.artifact import load_artifact
from app.encoding.encoder import OnnxEncoder
from app.settings import Settings
from tests.fixtures.forked import COMMAND, ForkedProcess, fork_module
from tests.fixtures.models import ARTIFACTS, SMALL, write_variant
from tests.process.gallery import Labelled
from tests.process.oracle import Oracle
from tests.process.workers import wait_for


class OracleOf(Oracle):
    """Encodes with an artifact from any folder."""

    def __init__(self, folder: Path) -> None:
        self.encoder = OnnxEncoder(load_artifact(folder), threads=1)


def service_on(database_url: str, tmp_path: Path, start):
    """Servers and workers that share a database and a picture store, each with a folder of its own.

    The second model is published by another process: none of them has a folder that holds it.
    """
    shipped = tmp_path / "shipped"
    shutil.copytree(ARTIFACTS / SMALL, shipped / SMALL)
    shared = {
        "LOOKALIKE_DATABASE_URL": database_url,
        "LOOKALIKE_PICTURES_URL": (tmp_path / "store").as_uri(),
        "LOOKALIKE_ARTIFACTS_DIR": str(shipped),
        "LOOKALIKE_DEFAULT_MODEL": SMALL,
        "LOOKALIKE_DECODE_CHILDREN": "1",
        "LOOKALIKE_JOB_LEASE_S": "2",
        # The tests wait for the workers, beside other tests.
        "LOOKALIKE_WORKER_NICE": "0",
        # A process that a test freezes may hold what others wait for.
        "LOOKALIKE_BUSY_TIMEOUT_S": "1",
        "LOOKALIKE_IDLE_IN_TRANSACTION_TIMEOUT_S": "2",
    }
    first = start(data_dir=tmp_path / "one", env=shared)
    variant = write_variant(tmp_path / "trained")
    asyncio.run(publish(variant, tmp_path, shared))
    service = Service(first, variant, start, tmp_path, shared)
    yield service
    service.end_workers()


async def publish(artifact, folder: Path, shared: dict[str, str]) -> None:
    settings = Settings(
        data_dir=folder / "trainer",
        database_url=shared["LOOKALIKE_DATABASE_URL"],
        pictures_url=shared["LOOKALIKE_PICTURES_URL"],
        artifacts_dir=shared["LOOKALIKE_ARTIFACTS_DIR"],
        default_model=SMALL,
        decode_children=1,
    )
    async with open_serving(settings) as services:
        await services.models.publish(artifact)


@dataclass
class Service:
    first: object
    variant: object
    start: object
    folder: Path
    env: dict
    workers: list = field(default_factory=list)

    @property
    def is_on_sqlite(self) -> bool:
        return self.env["LOOKALIKE_DATABASE_URL"].startswith("sqlite")

    def oracles(self) -> dict[str, Oracle]:
        return {SMALL: OracleOf(ARTIFACTS / SMALL), self.variant.name: OracleOf(self.variant.folder)}

    def server(self, which: str):
        return self.start(data_dir=self.folder / which, env=self.env)

    def worker(self, *command: str) -> ForkedProcess:
        """A worker, or a test's own that does the same and fails on purpose."""
        environment = {**os.environ, **self.env, "LOOKALIKE_DATA_DIR": str(self.folder / "worker")}
        with Path(os.devnull).open("wb") as sink:
            process = fork_module(*(command or (COMMAND, "worker")), env=environment, stderr=sink)
        self.workers.append(process)
        return process

    def end_workers(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()


def wide(picture: Labelled) -> Labelled:
    """The middle of a picture, twice as wide as high: the two models differ in how they see such a one."""
    whole = Image.open(io.BytesIO(picture.content)).convert("RGB")
    height = whole.width // 2
    top = max(0, (whole.height - height) // 2)
    out = io.BytesIO()
    whole.crop((0, top, whole.width, top + height)).save(out, "JPEG", quality=90)
    return replace(picture, content=out.getvalue())


def job_of(http, answer) -> dict:
    assert answer.status_code == 202, answer.text
    job = {}

    def is_over():
        job.update(http.get(answer.headers["location"]).json())
        return job["status"] in {"succeeded", "failed", "cancelled"}

    wait_for(is_over, within_s=240)
    assert job["status"] == "succeeded", job
    return job


def activate(http, model: str, **fields) -> dict:
    answer = http.post(f"/admin/models/{model}/activate", json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def model_of(http) -> str:
    return http.get("/info").json()["collections"][0]["model"]


def freeze(server, http, image_id: str) -> None:
    """Stop a server outside a transaction: on SQLite one inside holds up every write until it goes on."""
    while True:
        os.kill(server.process.pid, signal.SIGSTOP)
        if http.patch(f"/images/{image_id}", json={"metadata": {"at": time.time()}}).status_code == 200:
            return
        os.kill(server.process.pid, signal.SIGCONT)
        time.sleep(0.1)
