"""Decide which new pictures are left out because they are copies of other pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.domain.duplicates import OnNearDuplicate
from app.domain.errors import NearDuplicateExists
from app.domain.images import NewImage
from app.services.index_sync.live_collection import LiveCollection
from app.services.pictures.near_duplicates import NearDuplicate, NearDuplicates
from app.services.pictures.preparing import ImageOutcome, Outcome, PreparedImage

NAMED: Final = 5
"""Most ids that a sentence names."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A picture to add or its outcome, with the pictures that it is a copy of."""

    item: PreparedImage | ImageOutcome
    near: tuple[NearDuplicate, ...] | None
    """None if they were not looked for."""

    @property
    def sentence(self) -> str | None:
        """Which pictures it is a copy of; None if it is none."""
        if not self.near:
            return None
        more = f" and {len(self.near) - NAMED} more" if len(self.near) > NAMED else ""
        return f"it is a copy of {', '.join(repr(one.image_id) for one in self.near[:NAMED])}{more}"


async def judge(
    near_duplicates: NearDuplicates,
    live: LiveCollection,
    prepared: Sequence[PreparedImage | ImageOutcome],
    policy: OnNearDuplicate,
) -> list[Judged]:
    """Find the copies among pictures to add, and leave out those that the policy keeps out.

    Each is compared with the stored pictures, and with those before it in ``prepared`` that are added.

    Args:
        near_duplicates: Finds copies.
        live: The collection, up to date.
        prepared: Pictures to add, and outcomes of others, which stay as they are.
        policy: What to do with a copy.
    """
    judged: list[Judged] = []
    added: list[NewImage] = []
    for item in prepared:
        if isinstance(item, ImageOutcome):
            judged.append(Judged(item, None))
            continue
        one = Judged(item, await near_duplicates.find(live, item.image, added))
        if one.near and policy is not OnNearDuplicate.REPORT:
            outcome = Outcome.NEAR_DUPLICATE if policy is OnNearDuplicate.SKIP else Outcome.FAILED
            error = NearDuplicateExists(f"{one.sentence}; to add it all the same, use on_near_duplicate=report")
            one = Judged(ImageOutcome(item.image.image_id, outcome, error), one.near)
        else:
            added.append(item.image)
        judged.append(one)
    return judged
