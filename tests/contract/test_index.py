"""The contract of ``app.index.port``: every implementation answers as the oracle does, at every version."""

import numpy as np
import pytest

from app.domain.codes import codes_to_bytes, words_for
from app.domain.filters import parse_filter
from app.index.collection_index import CollectionIndex, IndexDelta
from app.remote.connection import EngineConnection
from app.remote.filters import term_arrays
from app.remote.journal import JournalEntry
from app.remote.remote_index import RemoteIndex
from app.remote.stored_codes import StoredCodes, distance_sql
from app.remote.writer import PictureRows, Writer
from tests.contract.index_oracle import FILTERS, Pictures, check_view, few_codes, random_metadata
from tests.fixtures.engine import engine, engine_address, engine_url  # noqa: F401


class LocalIndex:
    """An index in this process."""

    def __init__(self, bits: int) -> None:
        self.index = CollectionIndex(bits, slack=8)
        for wanted in FILTERS:
            self.index.put_filter(wanted.key, np.empty(0, np.int64), 0)

    def apply(self, version: int, pictures: Pictures, puts: dict[int, np.ndarray], deleted: list[int]) -> None:
        touched = sorted([*puts, *deleted])
        self.index.apply(
            IndexDelta(
                version=version,
                put_numbers=np.array(sorted(puts), np.int64),
                put_codes=np.array([puts[n] for n in sorted(puts)], np.uint64).reshape(len(puts), -1),
                deleted_numbers=np.array(sorted(deleted), np.int64),
                touched_numbers=np.array(touched, np.int64),
                filter_matches={
                    one.key: np.array(
                        [n for n in touched if n in puts and one.matches(pictures.metadata[n])], np.int64
                    )
                    for one in FILTERS
                },
            )
        )

    def compact(self) -> None:
        """Nothing is left behind that a view of the newest state does not need."""

    def view(self):
        return self.index.view()


class RemoteUnderTest:
    """An index in an engine that is behind by a random number of changes."""

    def __init__(self, bits: int, connection: EngineConnection, rng: np.random.Generator) -> None:
        self.writer, self.bits, self.rng = Writer(connection), bits, rng
        self.generation = self.writer.begin_generation(f"contract {bits}", words_for(bits), 0).generation
        self.writer.journal.write(self.generation, JournalEntry.PUBLISHED, 0, 0)
        self.index = RemoteIndex.open(connection, self.generation, 0, bits)
        for wanted in FILTERS:
            self.index.put_filter(wanted, np.empty(0, np.int64), 0)
        self.written = 0
        self.waiting: list[tuple[int, Pictures, list[int]]] = []

    def apply(self, version: int, pictures: Pictures, puts: dict[int, np.ndarray], deleted: list[int]) -> None:
        touched = sorted([*puts, *deleted])
        delta = IndexDelta(
            version=version,
            put_numbers=np.array(sorted(puts), np.int64),
            put_codes=np.array([puts[n] for n in sorted(puts)], np.uint64).reshape(len(puts), -1),
            deleted_numbers=np.array(sorted(deleted), np.int64),
            touched_numbers=np.array(touched, np.int64),
            filter_matches={
                one.key: np.array(
                    [n for n in touched if n in puts and one.matches(pictures.metadata[n])], np.int64
                )
                for one in FILTERS
            },
        )
        self.index.apply(delta, read_at=version, missing=())
        self.waiting.append((version, pictures.copy(), touched))
        while self.waiting and self.rng.random() < 0.6:
            self.write(*self.waiting.pop(0))

    def write(self, version: int, pictures: Pictures, touched: list[int]) -> None:
        rows, gone = PictureRows(), []
        for number in touched:
            is_fresh = number > self.written and number in pictures.codes
            if not is_fresh:
                gone.append(number)
            if number in pictures.codes:
                terms, ranges = term_arrays(pictures.metadata[number])
                rows.numbers.append(number)
                rows.codes.append(pictures.codes[number].to_bytes(self.bits // 8, "little"))
                rows.added.append(number if is_fresh else version)
                rows.terms.append(terms)
                rows.ranges.append(ranges)
        for _ in range(2):  # a feeder that was killed, and the next one
            self.writer.write_batch(
                self.generation, self.bits, (self.written, version), rows, gone, is_exact=True
            )
        self.written = version
        self.index.advance(self.generation, version)

    def compact(self) -> None:
        self.writer.compact(self.generation, self.written)
        assert self.writer.gone_count(self.generation, self.written) == 0

    def view(self):
        return self.index.view()


@pytest.mark.parametrize(
    ("implementation", "bits"),
    [
        ("local", 8),
        ("local", 64),
        ("local", 136),
        pytest.param("clickhouse", 136, marks=pytest.mark.slow),
    ],
)
def test_views_give_the_answers_of_the_oracle_while_the_index_changes(request, implementation, bits):
    rng = np.random.default_rng(bits)
    if implementation == "local":
        index = LocalIndex(bits)
    else:
        index = RemoteUnderTest(bits, request.getfixturevalue("engine"), rng)
    pictures, version = Pictures(), 2**33  # numbers beyond 32 bits
    held = []
    for step in range(3):
        puts: dict[int, np.ndarray] = {}
        deleted: list[int] = []
        for _ in range(int(rng.integers(1, 40))):
            version += 1
            known = [n for n in pictures.codes if n not in puts and n not in deleted]
            kind = rng.random() if known else 0.0
            number = version if kind < 0.6 else int(rng.choice(known))
            if kind < 0.85:
                puts[number] = few_codes(rng, 1, bits)[0]
                pictures.put(number, puts[number], random_metadata(rng))
            else:
                deleted.append(number)
                pictures.delete(number)
        index.apply(version, pictures, puts, deleted)
        view = index.view()
        assert view.version == version
        check_view(view, pictures, rng, filters=FILTERS if step == 1 else FILTERS[:1])
        held.append((view, pictures.copy()))
    # A view that a reader holds does not change.
    for view, then in held[::2]:
        check_view(view, then, rng, filters=())
    index.compact()
    check_view(index.view(), pictures, rng)


@pytest.mark.slow
def test_long_filters_and_many_newer_changes_fit_into_statements(engine: EngineConnection):  # noqa: F811
    writer = Writer(engine)
    generation = writer.begin_generation("long", 4, 0).generation
    codes = np.arange(64, dtype=np.uint64).reshape(16, 4)
    terms, ranges = zip(*(term_arrays({"key": "value"}) for _ in codes), strict=True)
    rows = PictureRows([*range(1, 17)], codes_to_bytes(codes, 256), [1] * 16, [*terms], [*ranges])
    writer.write_batch(generation, 256, (0, 20_000), rows, [], is_exact=True)
    index = RemoteIndex.open(engine, generation, 20_000, 256)
    none = np.empty(0, np.int64)
    gone = np.arange(2, 8_000)
    index.apply(
        IndexDelta(20_001, none, np.empty((0, 4), np.uint64), gone, gone),
        read_at=20_001,
        missing={*range(17, 8_000)},
    )
    wanted = parse_filter(
        {
            "must": [{"key": "key", "match": "value"}],
            "must_not": [{"key": "k" * 255 + chr(97 + i), "match": "\N{SNOWMAN}" * 300} for i in range(26)],
        }
    )
    index.put_filter(wanted, none, 20_001)
    found = index.view().search_many(codes, 3, filter_key=wanted.key)
    assert [one.numbers.tolist() for one in found] == [[1]] * 16
    assert index.view().search(codes[0], 3, filter_key=wanted.key).numbers.tolist() == [1]


def test_pictures_behind_many_changed_ones_are_found(engine: EngineConnection):  # noqa: F811
    writer, count = Writer(engine), 400
    generation = writer.begin_generation("behind", 1, 0).generation
    codes = np.repeat(np.array([0, 1, 3, 7], np.uint64), count // 4)
    terms = [["a"] if number % 2 else ["b"] for number in range(count)]
    rows = PictureRows([*range(count)], codes_to_bytes(codes[:, None], 64), [1] * count, terms, [[]] * count)
    writer.write_batch(generation, 64, (0, 1), rows, [], is_exact=True)
    gone = [*range(120)]
    writer.write_batch(generation, 64, (1, 2), PictureRows(), gone, is_exact=True)
    # Written twice, by two feeders, and not merged yet.
    engine.command(f"SYSTEM STOP MERGES {engine.database}.codes_1")
    again = PictureRows([200], codes_to_bytes(codes[200:201, None], 64), [1], [["b"]], [[]])
    for token in "ab":
        writer._put(generation, 64, again, token)
    stored = StoredCodes(engine, generation, 2)
    values = [distance_sql(np.array([code])) for code in codes[::100]]
    hidden = [*range(120, 390)]
    nearest, *_, last = stored.rankings(values, 5, hidden=hidden, condition=None, radius=None)
    assert (nearest.numbers.tolist(), nearest.distances.tolist()) == ([390, 391, 392, 393, 394], [3] * 5)
    assert last.distances.tolist() == [0] * 5
    [some] = stored.rankings(values[:1], 500, hidden=gone, condition="has(terms, 'b')", radius=2)
    assert some.numbers.tolist() == [*range(120, 300, 2)]
    [none] = stored.rankings(values[:1], 5, hidden=[], condition="has(terms, 'c')", radius=None)
    assert none.numbers.tolist() == []
