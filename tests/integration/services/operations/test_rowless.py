"""Stored files without a row are found, and no others."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.errors import DatabaseUnavailable
from app.images.put_journal import PutJournal
from app.services.operations.rowless import RowlessFiles
from app.store.pictures.images import ImageReader
from tests.integration.store.pictures import add, make_collection, new_image

pytestmark = pytest.mark.anyio

KEPT, LEFT = new_image("kept").sha256, "f" * 64


async def orphans(database):
    async with database.write() as unit:
        return await unit.images.take_orphans(before=datetime.now(UTC) + timedelta(days=1), limit=10)


@pytest.fixture
async def collection(database):
    made = await make_collection(database)
    await add(database, made, new_image("kept"))
    return made


def put_and_die(folder, *sha256s):
    """List files in a process that is killed before it commits their rows."""
    code = (
        "import os, signal, sys; from pathlib import Path; from app.images.put_journal import PutJournal;"
        "PutJournal(Path(sys.argv[1])).add(sys.argv[2:]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder), *sha256s], check=False)
    assert done.returncode == -9


async def test_files_of_a_killed_process_are_listed_unless_a_picture_has_them(database, collection, tmp_path):
    put_and_die(tmp_path, KEPT, LEFT)
    rowless = RowlessFiles(database, PutJournal(tmp_path))

    assert await rowless.list_orphans()
    assert not await rowless.list_orphans()

    assert await orphans(database) == [LEFT]
    assert list(tmp_path.glob("*.puts")) == []


async def test_a_journal_in_use_is_left_alone_until_it_is_old(database, collection, tmp_path):
    own = PutJournal(tmp_path, rotate_s=3600)
    own.add([LEFT])

    early = await RowlessFiles(database, PutJournal(tmp_path)).list_orphans()
    before = await orphans(database)
    own.close()
    own.add([KEPT])
    late = await RowlessFiles(database, own).list_orphans()

    assert (early, before, late) == (False, [], True)
    assert await orphans(database) == [LEFT]
    own.close()


async def test_a_long_lived_process_completes_its_journal(database, collection, tmp_path):
    journal = PutJournal(tmp_path, rotate_s=-1)
    journal.add([LEFT])

    assert await RowlessFiles(database, journal).list_orphans()

    assert await orphans(database) == [LEFT]


async def test_an_outage_of_the_database_loses_no_journal(database, collection, tmp_path, monkeypatch):
    put_and_die(tmp_path, LEFT)
    rowless = RowlessFiles(database, PutJournal(tmp_path))

    async def away(self, sha256s):
        raise DatabaseUnavailable

    with monkeypatch.context() as outage:
        outage.setattr(ImageReader, "without_row", away)
        with pytest.raises(DatabaseUnavailable):
            await rowless.list_orphans()
    await rowless.list_orphans()

    assert await orphans(database) == [LEFT]
