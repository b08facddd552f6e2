"""A manifest that is damaged is refused by name, whatever is wrong with it."""

import json

import pytest

from app.domain.errors import BackupRefused
from app.images.objects import ObstoreObjects
from app.services.operations.backups import Backups

pytestmark = pytest.mark.anyio

GOOD = {
    "id": "ONE",
    "created_at": "2026-01-01T00:00:00+00:00",
    "change": 1,
    "pictures": 0,
    "copies_pictures": False,
    "missing_files": 0,
    "files": [{"name": "images-00000.ndjson.gz", "table": "images", "rows": 0, "sha256": "0" * 64}],
    "format": 1,
}


def changed(**fields) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


def with_file(**fields) -> bytes:
    return changed(files=[{**GOOD["files"][0], **fields}])


async def read(tmp_path, content: bytes):
    objects = ObstoreObjects("memory://")
    await objects.put("backups/ONE/manifest.json", content)
    return await Backups(None, objects, None, tmp_path).manifest("ONE")


async def test_a_sound_manifest_is_read(tmp_path):
    assert (await read(tmp_path, changed())).document() == GOOD


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"null", b"[]", b"1", b'"text"', b"{}", b"\xff\xfe", b"\x00" * 100, b"[" * 100_000,
        changed()[:-20],
        changed(files=None), changed(files={}), changed(files=[None]), changed(files=[[]]), changed(files=[{}]),
        changed(id=None), changed(id="OTHER"), changed(change="many"), changed(change=None),
        changed(format=None),
        changed(format="1a"), changed(format=99),
        with_file(name="../../../etc/passwd"), with_file(name="/etc/passwd"), with_file(name=1),
        with_file(table="sqlite_master"), with_file(rows=-1), with_file(rows="x"), with_file(sha256=""),
        with_file(sha256=None),
    ],
)  # fmt: skip
async def test_a_damaged_manifest_is_refused(tmp_path, content):
    with pytest.raises(BackupRefused, match="ONE"):
        await read(tmp_path, content)
