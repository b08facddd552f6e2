"""The process from which tests fork servers and workers."""

import os

import pytest

from tests.fixtures.forked import COMMAND, ONE_THREAD, _Forking


@pytest.mark.slow
def test_it_forks_where_a_blas_would_start_threads(monkeypatch):
    for name in ONE_THREAD:
        monkeypatch.delenv(name, raising=False)  # parallel workers of pytest have it
    reader, writer = os.pipe()
    forking = _Forking()

    pid = forking.ask({"command": [COMMAND, "--version"], "env": {}}, [writer, writer])

    os.close(writer)
    with os.fdopen(reader) as output:
        assert output.read().startswith("lookalike ")
    assert forking.ask({"reap": pid}) == 0
    forking.end()
