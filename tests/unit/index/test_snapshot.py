"""Snapshots come back as they were, or are refused."""

import numpy as np
import pytest

from app.index.collection_index import CollectionIndex, SnapshotRefused
from tests.unit.index.pictures import delta_of, pairs, random_codes

OWNER = "pictures, model 1f"


@pytest.fixture
def saved(tmp_path):
    """An index that has seen every kind of change, and its file."""
    rng = np.random.default_rng(3)
    index = CollectionIndex(136)
    index.load(np.arange(0, 4_000, 2), random_codes(rng, 2_000, 136), 5)
    put = {number: number * 7 for number in (10, 20, 4_001, 4_005)}
    index.apply(delta_of(9, 136, put, deleted=[12, 14, 3_998]))
    path = tmp_path / "pictures.index"
    assert index.save(path, OWNER) == 9
    return index, path


def test_a_snapshot_answers_as_the_index_did(saved):
    index, path = saved
    queries = random_codes(np.random.default_rng(4), 6, 136)

    opened = CollectionIndex.open(path, 136, OWNER)

    assert (opened.view().version, opened.view().count) == (9, index.view().count)
    for query in queries:
        assert pairs(opened.view().search(query, 50)) == pairs(index.view().search(query, 50))


def test_an_opened_index_takes_changes_and_leaves_the_file_alone(saved):
    _, path = saved
    before = path.read_bytes()
    opened = CollectionIndex.open(path, 136, OWNER)

    opened.apply(delta_of(10, 136, {10: 1, 5_000: 1}, deleted=[16]))

    assert pairs(opened.view().search(np.array([1, 0, 0], np.uint64), 2)) == [(0, 10), (0, 5_000)]
    assert opened.view().code_of(16) is None
    assert path.read_bytes() == before


def test_as_many_added_as_deleted_are_both_saved(tmp_path):
    index = CollectionIndex(64)
    index.load(np.arange(10), random_codes(np.random.default_rng(1), 10, 64), 1)
    index.apply(delta_of(2, 64, {20: 3}, deleted=[4]))

    index.save(tmp_path / "i", OWNER)

    view = CollectionIndex.open(tmp_path / "i", 64, OWNER).view()
    assert (view.code_of(4), view.code_of(20).tolist()) == (None, [3])


def test_an_empty_index_is_saved_and_opened(tmp_path):
    CollectionIndex(64).save(tmp_path / "i", OWNER)

    assert CollectionIndex.open(tmp_path / "i", 64, OWNER).view().count == 0


@pytest.mark.parametrize("place", [0, 9, 41, 45, 60, 3_000, 4_096, 20_000, -1])
def test_one_flipped_bit_anywhere_is_noticed(saved, place):
    _, path = saved
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)

    with pytest.raises(SnapshotRefused):
        CollectionIndex.open(path, 136, OWNER)


@pytest.mark.parametrize("length", [0, 7, 39, 4_095, 4_096, 9_000])
def test_a_truncated_file_is_refused(saved, length):
    _, path = saved
    path.write_bytes(path.read_bytes()[:length])

    with pytest.raises(SnapshotRefused):
        CollectionIndex.open(path, 136, OWNER)


def test_a_file_of_something_else_is_refused(saved, tmp_path):
    _, path = saved

    with pytest.raises(SnapshotRefused, match="1f"):
        CollectionIndex.open(path, 136, "pictures, model 2e")
    with pytest.raises(SnapshotRefused, match="136-bit"):
        CollectionIndex.open(path, 64, OWNER)
    with pytest.raises(SnapshotRefused, match="cannot be opened"):
        CollectionIndex.open(tmp_path / "missing", 136, OWNER)


def test_a_failed_write_leaves_the_last_snapshot_and_no_litter(saved):
    index, path = saved
    before = path.read_bytes()

    with pytest.raises(ValueError, match="too long"):
        index.save(path, "x" * 5_000)

    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_opening_compiles_nothing(saved):
    from app.index.scan_kernels import nearest

    index, path = saved
    query = np.zeros(3, np.uint64)
    index.view().search(query, 1)
    compiled = len(nearest.signatures)

    CollectionIndex.open(path, 136, OWNER).view().search(query, 1)

    assert len(nearest.signatures) == compiled


def test_codes_are_taken_from_the_snapshot_and_tables_stay_where_no_row_has_moved(saved):
    _, path = saved
    index = CollectionIndex.open(path, 136, OWNER)
    own = CollectionIndex(136, slack=4, hash_from=1, min_use=0)
    numbers = index.view().sample_numbers(100_000)
    numbers, codes = index.view().codes_of(numbers)
    own.load(numbers, codes, index.view().version)
    own.build_engines()
    tables = own.view().main.engine
    assert own.wants_sharing
    assert own.view().own_rows == len(numbers)

    assert own.share(path, OWNER)

    view = own.view()
    assert (view.own_rows, view.main.is_shared, view.main.engine) == (0, True, tables)
    assert not own.wants_sharing
    assert pairs(view.search(codes[0], 9)) == pairs(index.view().search(codes[0], 9))


@pytest.mark.parametrize("bits", [8, 64, 256])
def test_tables_of_replaced_codes_are_dropped(tmp_path, bits):
    """A replaced code keeps its number, so numbers alone do not tell that tables still hold."""
    rng = np.random.default_rng(1)
    index = CollectionIndex(bits, slack=4, hash_from=1, min_use=0)
    codes = random_codes(rng, 40, bits)
    index.load(np.arange(40), codes, 1)
    index.build_engines()
    assert index.view().main.engine is not None
    replaced = {number: int(codes[number, 0]) ^ 0xFF for number in range(3)}
    index.apply(delta_of(2, bits, replaced))
    path = tmp_path / "replaced.index"
    index.save(path, OWNER)
    _, now = index.view().codes_of(np.arange(40))
    before = [pairs(index.view().search(code, 40)) for code in now]

    assert index.share(path, OWNER)

    view = index.view()
    assert view.main.engine is None
    assert [pairs(view.search(code, 40)) for code in now] == before
    assert [view.count_at(code, 0) for code in now] == [sum(d == 0 for d, _ in each) for each in before]


def test_a_later_states_snapshot_is_not_taken(saved):
    _, path = saved
    behind = CollectionIndex(136)

    assert not behind.share(path, OWNER)
    assert behind.view().count == 0


def test_what_the_snapshot_says_otherwise_is_not_believed(saved):
    """A number with another code, as another history has it: this index's own code is found."""
    index, path = saved
    numbers, codes = index.view().codes_of(index.view().sample_numbers(100_000))
    other = CollectionIndex(136, slack=4)
    other.load(numbers, codes ^ np.uint64(1), index.view().version)
    before = pairs(other.view().search(codes[0], len(numbers)))

    assert other.share(path, OWNER)

    assert pairs(other.view().search(codes[0], len(numbers))) == before
    assert other.view().own_rows == len(numbers)


@pytest.mark.parametrize("is_mapped", [False, True])
def test_a_mapped_snapshot_answers_like_a_copied_one(saved, is_mapped):
    index, path = saved
    query = random_codes(np.random.default_rng(4), 1, 136)[0]

    opened = CollectionIndex.open(path, 136, OWNER, is_mapped=is_mapped)

    assert pairs(opened.view().search(query, 50)) == pairs(index.view().search(query, 50))
    assert opened.view().main.is_shared is is_mapped


def test_what_happens_to_the_file_later_changes_no_answer(saved):
    """A mapped page of a truncated file kills the process, and one of a changed file changes answers."""
    index, path = saved
    queries = random_codes(np.random.default_rng(5), 6, 136)
    opened = CollectionIndex.open(path, 136, OWNER)

    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 20_000)
        file.truncate(30_000)

    for query in queries:
        assert pairs(opened.view().search(query, 50)) == pairs(index.view().search(query, 50))


def test_the_file_is_read_only(saved):
    _, path = saved

    assert path.stat().st_mode & 0o777 == 0o400
