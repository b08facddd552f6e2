"""What killed processes left is removed without an operator, by a process that can see it."""

import os
from datetime import timedelta

import pytest

from app import scratch
from app.bootstrap import open_worker
from app.services.operations.chores import Chores
from app.services.operations.missing_hashes import MissingHashes
from app.services.operations.sweeping import Sweeper
from app.services.operations.training_files import TrainingFiles
from app.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def services(tmp_path, sqlite_url):
    settings = Settings(
        data_dir=tmp_path / "data",
        database_url=sqlite_url,
        default_model="paper-32",
        decode_children=1,
    )
    async with open_worker(settings) as opened:
        yield opened


def chores_of(services) -> Chores:
    return Chores(
        services.database,
        Sweeper(services.database, services.pictures, grace_s=services.settings.storage.orphan_grace_s),
        services.imports,
        services.backups,
        TrainingFiles(
            services.database,
            services.objects,
            services.settings.storage.data_dir,
            retention=timedelta(days=1),
        ),
        services.objects,
        services.journal,
        MissingHashes(services.database, services.jobs),
        sweep_interval_s=60.0,
        job_retention=timedelta(days=1),
    )


@pytest.mark.parametrize(
    ("name", "folder", "is_local"),
    [
        ("received uploads", "uploads", True),
        ("backup spools", "spool", True),
        ("half-written files", "store/incoming", False),
    ],
)
async def test_old_leftovers_go_and_what_may_be_in_use_stays(services, name, folder, is_local):
    below = services.settings.storage.data_dir / folder
    old, young = below / "left-by-a-killed-process", below / "in-use"
    for path in (old, young):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    [chore] = [chore for chore in chores_of(services).all() if chore.name == name]

    assert await chore.turn() is False

    assert list(below.iterdir()) == [young]
    # Nobody else sees a folder of this machine; the store's is everyone's.
    assert chore.is_local is is_local


async def test_temporary_folders_of_killed_processes_go(services, tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "TEMPORARY", tmp_path)
    left = tmp_path / "lookalike-kernels-abc"
    left.mkdir()
    (left / ".lock").touch()
    [chore] = [chore for chore in chores_of(services).all() if chore.name == "temporary folders"]

    assert await chore.turn() is False

    assert not left.exists()
    assert chore.is_local


async def test_a_folder_that_was_never_made_holds_nothing(services):
    await services.imports.sweep_temporary_files()
    await services.backups.sweep_spool()

    assert await services.objects.remove_unfinished() == 0
