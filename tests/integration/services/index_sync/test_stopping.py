"""A process that is stopped while it starts does not go on starting."""

import asyncio
import sys

import pytest
from structlog.testing import capture_logs

from app.services.index_sync import kernels
from app.services.index_sync.index_sync import IndexSync
from app.services.index_sync.snapshots import Snapshots
from app.services.supervision import Supervisor
from tests.integration.services.index_sync.test_snapshots import OneModel
from tests.integration.store.pictures import make_collection

pytestmark = pytest.mark.anyio


async def test_a_stop_during_the_compilation_does_not_compile_in_this_process(database, monkeypatch, tmp_path):
    compiler = tmp_path / "python"
    compiler.write_text("#!/bin/sh\nexec sleep 600\n")
    compiler.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(compiler))
    monkeypatch.setattr(kernels, "are_kernels_loaded", lambda: False)
    monkeypatch.setattr(kernels, "all_cached", lambda: False)
    compiled_here = []
    monkeypatch.setattr(kernels, "warm_up_search", lambda: compiled_here.append(1))
    await make_collection(database)
    supervisor = Supervisor()
    index_sync = IndexSync(
        database, supervisor, OneModel(), Snapshots(None), poll_interval_s=30, snapshot_interval_s=30
    )

    with capture_logs() as logs:
        loading = index_sync.load_in_background()
        while index_sync._kernels._child is None:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
        await index_sync.close()
        await loading.wait()

    await supervisor.close()
    assert compiled_here == []
    assert [line["event"] for line in logs] == ["kernels_compiling"]
