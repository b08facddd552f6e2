"""``learn_words`` jobs: learn words from the metadata of a collection's pictures."""

import asyncio
from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.bootstrap import WorkerServices
from app.domain.codes import codes_from_bytes
from app.domain.errors import InvalidRequest, UnknownCollection
from app.domain.learned_words import LearnedWord
from app.encoding.artifact import read_class_weights
from app.jobs.leases import HeldPart
from app.jobs.runner import Handler
from app.jobs.steps import RepeatedSteps
from app.words.learning import WordLearner, priors_of
from app.words.tokens import words_of

PAGE: Final = 1_000
MIN_PICTURES: Final = 20
MAX_WORDS: Final = 2_000
"""Words that are learned at most: those that most pictures carry."""


def make_handler(services: WorkerServices) -> Handler:
    """Return the handler of ``learn_words`` jobs."""
    return partial(learn_words, services)


@dataclass(slots=True)
class _Tagged:
    """Pictures that have a code and at least one word."""

    codes: bytearray = field(default_factory=bytearray)
    count: int = 0
    # Arrays, since captions of a million pictures have ten million words.
    rows_of: dict[str, "array[int]"] = field(default_factory=lambda: defaultdict(lambda: array("q")))
    without_words: int = 0
    without_code: int = 0

    def add(self, code: bytes | None, words: set[str]) -> None:
        if not words:
            self.without_words += 1
        elif code is None:
            self.without_code += 1
        else:
            for word in words:
                self.rows_of[word].append(self.count)
            self.codes += code
            self.count += 1


async def learn_words(services: WorkerServices, part: HeldPart) -> dict[str, Any]:
    """Learn the words that enough pictures carry, and replace those learned before in one transaction.

    Raises:
        UnknownCollection: The collection was deleted.
        InvalidRequest: Too few pictures carry words, or no word is carried by enough of them.
    """
    arguments = part.lease.arguments
    pk, model = arguments["collection_pk"], arguments["model"]
    serving = await services.models.serving(model)
    bits = serving.artifact.bits
    progress = RepeatedSteps(part)
    tagged, pictures = await _read(services, part, progress)
    if tagged.count < MIN_PICTURES:
        raise InvalidRequest(
            f"only {tagged.count} pictures have words under {', '.join(arguments['keys'])} and a code; "
            f"at least {MIN_PICTURES} are needed"
        )
    common = sorted(
        (word for word, rows in tagged.rows_of.items() if len(rows) >= arguments["min_pictures"]),
        key=lambda word: (-len(tagged.rows_of[word]), word),
    )
    words = common[:MAX_WORDS]
    if not words:
        raise InvalidRequest(f"no word is carried by {arguments['min_pictures']} pictures")
    class_weights = await asyncio.to_thread(read_class_weights, serving.artifact)
    codes = codes_from_bytes(bytes(tagged.codes), bits)
    learner = await asyncio.to_thread(WordLearner, codes, bits)
    learned: list[LearnedWord] = []
    for i in range(0, len(words), learner.words_at_a_time):
        chunk = words[i : i + learner.words_at_a_time]
        learned += await asyncio.to_thread(
            _learn, learner, {word: tagged.rows_of[word] for word in chunk}, class_weights, arguments
        )
        await progress.add(len(chunk), pictures + len(words), "learning")
    async with part.batch() as batch:
        if await batch.unit.collections.by_pk(pk) is None:
            raise UnknownCollection
        await batch.unit.learned_words.replace_all(pk, model, learned)
        batch.save(part.checkpoint, phase="storing")
    return {
        "model": model,
        "keys": arguments["keys"],
        "pictures": tagged.count,
        "without_words": tagged.without_words,
        "without_code": tagged.without_code,
        "words": len(learned),
        "offered": sum(one.is_offered for one in learned),
        "rare": len(tagged.rows_of) - len(common),
        "left_out": len(common) - len(words),
    }


async def _read(services: WorkerServices, part: HeldPart, progress: RepeatedSteps) -> tuple[_Tagged, int]:
    """Return the words and codes of all pictures, and the number of pictures."""
    arguments = part.lease.arguments
    pk, tagged, after = arguments["collection_pk"], _Tagged(), -1
    while True:
        async with services.database.read() as unit:
            if await unit.collections.by_pk(pk) is None:
                raise UnknownCollection
            total = await unit.images.count(pk)
            page = await unit.images.page(pk, after, PAGE)
            codes = await unit.images.codes_of(pk, arguments["model"], [image.number for image in page])
        for image in page:
            after = image.number
            tagged.add(codes.get(image.number), words_of(image.metadata, arguments["keys"]))
        await progress.add(len(page), total, "reading")
        if len(page) < PAGE:
            return tagged, total


def _learn(
    learner: WordLearner,
    rows_of: dict[str, "array[int]"],
    class_weights: NDArray[np.float32] | None,
    arguments: dict[str, Any],
) -> list[LearnedWord]:
    priors = {} if class_weights is None else priors_of(rows_of, class_weights)
    return learner.learn(rows_of, priors, arguments["min_precision"])
