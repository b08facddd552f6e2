"""Which ranks and options a kind of query can have."""

from dataclasses import replace

from app.domain.errors import FieldError, InvalidRequest
from app.domain.ranks import BY_DESCRIPTOR, Rank, Where
from app.domain.results import SearchLimits
from app.services.index_sync.live_collection import LiveCollection
from app.services.searching.remote_views import local_view


def check_rank_of_code(limits: SearchLimits) -> None:
    """Check that codes can be searched with this rank, and that colours have no weight.

    Raises:
        InvalidRequest: They cannot.
    """
    if limits.rank not in {Rank.AUTO, Rank.HAMMING}:
        raise not_ranked("use rank auto or hamming with a code")
    refuse_colour(limits, "a code; name a stored picture or upload one")


def wants_descriptors(live: LiveCollection, limits: SearchLimits) -> bool:
    """Return whether a search by a picture is ranked by descriptor."""
    return limits.rank in BY_DESCRIPTOR or (limits.rank is Rank.AUTO and live.ranks_by_descriptor)


def rank_by_descriptor(limits: SearchLimits) -> Rank:
    """Return what orders the candidates of a query that has a descriptor."""
    return Rank.EXPANDED if limits.rank is Rank.EXPANDED else Rank.DESCRIPTOR


def limits_of_text(live: LiveCollection, limits: SearchLimits, where: Where) -> SearchLimits:
    """Return the limits with the rank to use: by default the most exact one that the index has.

    Raises:
        InvalidRequest: The rank needs a descriptor, or metadata are to be searched by signs or in a remote
            index.
    """
    if limits.rank in BY_DESCRIPTOR:
        raise not_ranked("use rank auto, asymmetric or hamming with a text, which has no descriptor")
    if where is not Where.LOOKS:
        local_view(live, "/where", "use where looks")
        if limits.rank is Rank.HAMMING:
            raise not_ranked("use rank auto or asymmetric with where")
    refuse_diversity(limits, "a text")
    refuse_colour(limits, "a text")
    if limits.rank is not Rank.AUTO:
        return limits
    return replace(limits, rank=Rank.HAMMING if live.record.is_remote else Rank.ASYMMETRIC)


def refuse_diversity(limits: SearchLimits, query: str) -> None:
    """Refuse ``diversify`` with a kind of query that it does not work with.

    Raises:
        InvalidRequest: It is asked for.
    """
    if limits.diversify:
        detail = f"works with a picture or a code, not with {query}"
        raise InvalidRequest(errors=[FieldError("/diversify", detail)])


def refuse_colour(limits: SearchLimits, query: str) -> None:
    """Refuse ``colour`` with a kind of query that has no colours.

    Raises:
        InvalidRequest: It is asked for.
    """
    if limits.colour:
        detail = f"works with one picture, not with {query}"
        raise InvalidRequest(errors=[FieldError("/colour", detail)])


def not_ranked(reason: str) -> InvalidRequest:
    """Return the refusal of a rank."""
    return InvalidRequest(errors=[FieldError("/rank", reason)])
