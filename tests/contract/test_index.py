"""The contract of ``app.index.port``: every implementation answers as the oracle does, at every version."""

import numpy as np
import pytest

from app.index.collection_index import CollectionIndex, IndexDelta
from tests.contract.index_oracle import FILTERS, Pictures, check_view, few_codes, random_metadata


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

    def view(self):
        return self.index.view()


IMPLEMENTATIONS = {"local": LocalIndex}


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("bits", [8, 64, 136])
def test_views_give_the_answers_of_the_oracle_while_the_index_changes(implementation, bits):
    rng = np.random.default_rng(bits)
    index, pictures, version = IMPLEMENTATIONS[implementation](bits), Pictures(), 0
    held = []
    for step in range(4):
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
        check_view(view, pictures, rng, filters=FILTERS if step % 2 else FILTERS[:2])
        held.append((view, pictures.copy()))
    # A view that a reader holds does not change.
    for view, then in held[::2]:
        check_view(view, then, rng, filters=())
