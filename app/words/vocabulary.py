"""The vocabulary: nouns of WordNet, what they are kinds of, and the classes that stand for them."""

import gzip
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

FILE: Final = Path(__file__).with_name("vocabulary.tsv.gz")

T = TypeVar("T")

_loading: Final = threading.Lock()


class Sense(NamedTuple):
    """One meaning of a word."""

    synset: str
    """Offset in WordNet 3.0."""
    rank: int
    """Position among all senses of the word, the most common first."""


class ParsedOnRead(Mapping[str, T]):
    """Values that are parsed when they are read; parsing all at once takes a second, and few are read."""

    def __init__(self, rows: Mapping[str, str], parse: Callable[[str], T]) -> None:
        """Parse values of ``rows``, by key, with ``parse``."""
        self._rows, self._parse = rows, parse

    def __getitem__(self, key: str) -> T:
        """Return the parsed value of a key."""
        return self._parse(self._rows[key])

    def __contains__(self, key: object) -> bool:
        """Return whether there is a value, without parsing it."""
        return key in self._rows

    def __iter__(self) -> Iterator[str]:
        """Return the keys."""
        return iter(self._rows)

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._rows)


@dataclass(frozen=True)
class Vocabulary:
    """Words, synsets and classes."""

    class_names: list[str]
    """Name of each class."""
    class_synsets: list[str]
    named: dict[str, list[int]]
    """Classes by each of their names in lower case, without brackets."""
    lemmas: Mapping[str, tuple[str, ...]]
    """Words of each synset, the usual one first."""
    parents: Mapping[str, tuple[str, ...]]
    """Synsets of which a synset is a kind."""
    senses: Mapping[str, tuple[Sense, ...]]
    plurals: Mapping[str, str]
    """Singulars of irregular plurals."""
    below: dict[str, frozenset[int]] = field(default_factory=dict)
    """Classes that are a synset or a kind of it; synsets without any are missing."""

    def above(self, synset: str) -> dict[str, int]:
        """Return a synset and everything above it, with the number of steps, nearest first."""
        found, level, steps = {synset: 0}, [synset], 0
        while level:
            steps += 1
            level = [up for one in level for up in self.parents[one] if up not in found]
            found |= dict.fromkeys(level, steps)
        return found

    @cached_property
    def kinds(self) -> dict[str, list[str]]:
        """The direct kinds of each synset; synsets without any are missing."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for synset, parents in self.parents.items():
            for parent in parents:
                found[parent].append(synset)
        return dict(found)

    def has_more_kinds(self, synset: str, most: int) -> bool:
        """Return whether more than ``most`` synsets are kinds of this one."""
        found, level = {synset}, [synset]
        while level and len(found) <= most + 1:
            level = [kind for one in level for kind in self.kinds.get(one, ()) if kind not in found]
            found.update(level)
        return len(found) > most + 1

    def label(self, synset: str) -> str:
        """Return the usual word of a synset."""
        return self.lemmas[synset][0].replace("_", " ")

    def general_words(self, i: int, most: int) -> tuple[str, ...]:
        """Return words for what a class is a kind of, nearest first."""
        above = list(self.above(self.class_synsets[i]))[1 : most + 1]
        return tuple(self.label(synset) for synset in above)

    def words(self) -> Iterator[str]:
        """Return every word and class name, with spaces."""
        yield from self.named
        yield from (lemma.replace("_", " ") for lemma in self.senses)


def vocabulary() -> Vocabulary:
    """Return the vocabulary; the first call of a process loads it, which takes about .2 s and 25 MB."""
    # The cache alone would let calls that come at the same time load it once each.
    with _loading:
        return _load()


@cache
def _load() -> Vocabulary:
    class_names, class_synsets = [], []
    named: defaultdict[str, list[int]] = defaultdict(list)
    rows: defaultdict[str, dict[str, str]] = defaultdict(dict)
    with gzip.open(FILE) as file:
        for line in file.read().decode().splitlines():
            kind, _, row = line.partition("\t")
            key, _, value = row.partition("\t")
            rows[kind][key] = value
    for number, value in rows["class"].items():
        synset, _, names = value.partition("\t")
        every = names.split("|")
        class_names.append(every[0])
        class_synsets.append(synset)
        spelled = {part.partition("(")[0].strip().lower() for one in every for part in one.split("/")}
        for name in spelled:
            named[name].append(int(number))
    synsets = rows["synset"]
    found = Vocabulary(
        class_names,
        class_synsets,
        dict(named),
        ParsedOnRead(synsets, _lemmas),
        ParsedOnRead(synsets, _parents),
        ParsedOnRead(rows["lemma"], _senses),
        rows["plural"],
    )
    below: defaultdict[str, set[int]] = defaultdict(set)
    for i, synset in enumerate(class_synsets):
        for above in found.above(synset):
            below[above].add(i)
    found.below.update({synset: frozenset(classes) for synset, classes in below.items()})
    return found


def _lemmas(row: str) -> tuple[str, ...]:
    return tuple(row.partition("\t")[0].split("|"))


def _parents(row: str) -> tuple[str, ...]:
    return tuple(row.partition("\t")[2].split())


def _senses(row: str) -> tuple[Sense, ...]:
    pairs = (one.split(":") for one in row.split())
    return tuple(Sense(synset, int(rank)) for rank, synset in pairs)
