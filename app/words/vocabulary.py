"""The vocabulary: nouns of WordNet, what they are kinds of, and the classes that stand for them."""

import gzip
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Final, NamedTuple

FILE: Final = Path(__file__).with_name("vocabulary.tsv.gz")

_loading: Final = threading.Lock()


class Sense(NamedTuple):
    """One meaning of a word."""

    synset: str
    """Offset in WordNet 3.0."""
    rank: int
    """Position among all senses of the word, the most common first."""


@dataclass(frozen=True)
class Vocabulary:
    """Words, synsets and classes."""

    class_names: list[str]
    """Name of each class."""
    class_synsets: list[str]
    named: dict[str, list[int]]
    """Classes by each of their names in lower case, without brackets."""
    lemmas: dict[str, tuple[str, ...]]
    """Words of each synset, the usual one first."""
    parents: dict[str, tuple[str, ...]]
    """Synsets of which a synset is a kind."""
    senses: dict[str, tuple[Sense, ...]]
    plurals: dict[str, str]
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
    """Return the vocabulary; the first call of a process loads it, which takes about a second and 46 MB."""
    # The cache alone would let calls that come at the same time load it once each.
    with _loading:
        return _load()


@cache
def _load() -> Vocabulary:
    class_names, class_synsets = [], []
    named: defaultdict[str, list[int]] = defaultdict(list)
    lemmas, parents, senses, plurals = {}, {}, {}, {}
    with gzip.open(FILE, "rt", encoding="utf-8") as file:
        for line in file:
            kind, *row = line.rstrip("\n").split("\t")
            if kind == "synset":
                lemmas[row[0]] = tuple(row[1].split("|"))
                parents[row[0]] = tuple(row[2].split())
            elif kind == "lemma":
                pairs = (one.split(":") for one in row[1].split())
                senses[row[0]] = tuple(Sense(synset, int(rank)) for rank, synset in pairs)
            elif kind == "plural":
                plurals[row[0]] = row[1]
            elif kind == "class":
                names = row[2].split("|")
                class_names.append(names[0])
                class_synsets.append(row[1])
                spelled = {part.partition("(")[0].strip().lower() for one in names for part in one.split("/")}
                for name in spelled:
                    named[name].append(int(row[0]))
    found = Vocabulary(class_names, class_synsets, dict(named), lemmas, parents, senses, plurals)
    below: defaultdict[str, set[int]] = defaultdict(set)
    for i, synset in enumerate(class_synsets):
        for above in found.above(synset):
            below[above].add(i)
    found.below.update({synset: frozenset(classes) for synset, classes in below.items()})
    return found
