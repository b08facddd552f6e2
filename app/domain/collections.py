"""Collections of pictures."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Keeps(StrEnum):
    """The form in which a collection keeps its pictures."""

    COPIES = "copies"
    """The bytes, in the picture store."""
    REFERENCES = "references"
    """Only the URI; such pictures cannot be encoded again."""


class IndexKind(StrEnum):
    """Where the codes of a collection are searched."""

    LOCAL = "local"
    """In the memory of each process."""
    CLICKHOUSE = "clickhouse"
    """On the ClickHouse server, or cluster, that the settings name."""


@dataclass(frozen=True, slots=True)
class CollectionRecord:
    """A named set of pictures."""

    pk: int
    name: str
    model: str
    previous_model: str | None
    """The model before the last switch; its codes are kept for a rollback until pruned."""
    keeps: Keeps
    description: str | None
    created_at: datetime
    updated_at: datetime
    next_model: str | None = None
    """The model under which the collection is being re-encoded."""
    warming_model: str | None = None
    """The model whose index every process loads before a switch."""
    index_kind: IndexKind = IndexKind.LOCAL
    """Where its codes are searched; fixed at creation."""

    @property
    def coded_models(self) -> tuple[str, ...]:
        """Models under which a new picture gets a code, starting with the active one."""
        models = (self.model, self.next_model, self.warming_model, self.previous_model)
        return tuple(dict.fromkeys(model for model in models if model is not None))

    @property
    def indexed_models(self) -> tuple[str, ...]:
        """Models under which an index on another server is kept up to date."""
        models = (self.model, self.warming_model, self.previous_model)
        return tuple(dict.fromkeys(model for model in models if model is not None))

    @property
    def is_remote(self) -> bool:
        """Whether its codes are searched on another server."""
        return self.index_kind is not IndexKind.LOCAL


@dataclass(frozen=True, slots=True)
class Missing:
    """Pictures of a collection that have no code under a model."""

    count: int
    by_reason: dict[str, int]
    """Number of pictures that could not be encoded, by error code."""

    @property
    def failed(self) -> int:
        """Number of pictures that could not be encoded."""
        return sum(self.by_reason.values())

    @property
    def pending(self) -> int:
        """Number of pictures that have not been tried yet."""
        return self.count - self.failed
