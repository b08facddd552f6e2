"""What is read of rows that two feeders have written."""

from types import SimpleNamespace

from app.remote.journal import Generation
from app.remote.stored_codes import SENTINEL, StoredCodes


def test_a_picture_whose_row_was_written_twice_has_one_code():
    rows = [(0, 5, 0, [-1]), (0, 3, 0, [7]), (0, 5, 0, [-1]), (0, 0, SENTINEL, [])]
    engine = SimpleNamespace(database="`db`", query=lambda _: rows)

    numbers, codes = StoredCodes(engine, Generation("owner", 1, 1), 9).codes_of(
        [3, 4, 5], hidden=(), condition=None
    )

    assert numbers.tolist() == [3, 5]
    assert codes.tolist() == [[7], [2**64 - 1]]
