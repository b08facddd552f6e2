"""Modules are imported without garbage collection, which goes on behind them."""

import gc

import pytest

from app.cli.serving.uncollected_imports import uncollected_imports


def test_collection_is_suspended_in_the_block_and_spares_what_it_created():
    frozen = gc.get_freeze_count()

    with uncollected_imports():
        assert not gc.isenabled()
        created = [[] for _ in range(1000)]

    assert gc.isenabled()
    assert gc.get_freeze_count() >= frozen + len(created)


def test_collection_goes_on_after_an_import_that_failed():
    with pytest.raises(ImportError), uncollected_imports():
        raise ImportError

    assert gc.isenabled()
