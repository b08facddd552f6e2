"""List models, train, evaluate, re-encode, activate, roll back and compare them."""

from collections.abc import Mapping, Sequence
from typing import Any

from lookalike_client.answers.jobs import Job
from lookalike_client.answers.models import Activated, Compared, ModelList, ModelReport, Pruned
from lookalike_client.calls import Call, answer, given, once, path


def list_models() -> Call[ModelList]:
    """Return the models, and which collections use them."""
    return Call("GET", "/models", answer(ModelList))


def get_model_report(name: str) -> Call[ModelReport]:
    """Return a model's origin, data, method and figures."""
    return Call("GET", path("models", name, "report"), answer(ModelReport))


def start_reencoding(
    model: str,
    *,
    force: bool | None = None,
    collection: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Job]:
    """Have a job encode a collection under a model.

    Args:
        model: Name of the model.
        force: True also encodes pictures that have a code.
        collection: The collection; ``default`` if None.
        idempotency_key: Repetitions with the same key are executed once. A random key if None.
    """
    body = given(model=model, force=force, collection=collection)
    return Call("POST", "/admin/jobs/reencode", answer(Job), json=body, headers=once(idempotency_key))


def start_training(
    name: str,
    *,
    collection: str | None = None,
    folder: str | None = None,
    label: str | None = None,
    method: str | None = None,
    bits: int | None = None,
    encoder: str | None = None,
    wordnet: float | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
) -> Call[Job]:
    """Have a job train a model.

    Args:
        name: Name of the new model.
        collection: Train on the pictures of this collection; ``default`` if no source is given.
        folder: Or train on a folder of <kind>/<picture> below the service's LOOKALIKE_IMPORT_ROOT.
        label: Metadata key of the kind.
        method: The hash method; the service's default is ``diffusion_similarity``.
        bits: Length of its codes, a multiple of 8 up to 512.
        encoder: Pretrained encoder.
        wordnet: Weight of WordNet features beside the encoder's, 0 to 2.
        epochs: Number of epochs.
        seed: Seed of random numbers.
        settings: Settings of the method that differ from its defaults.
        idempotency_key: Repetitions with the same key are executed once. A random key if None.
    """
    body = given(
        name=name,
        collection=collection,
        folder=folder,
        label=label,
        method=method,
        bits=bits,
        encoder=encoder,
        wordnet=wordnet,
        epochs=epochs,
        seed=seed,
        settings=settings,
    )
    return Call("POST", "/admin/jobs/train", answer(Job), json=body, headers=once(idempotency_key))


def start_evaluation(
    *,
    collection: str | None = None,
    label: str | None = None,
    model: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Job]:
    """Have a job evaluate a model on a collection.

    Args:
        collection: The collection; ``default`` if None.
        label: Metadata key of the kind.
        model: The model; the collection's own if None.
        idempotency_key: Repetitions with the same key are executed once. A random key if None.
    """
    body = given(collection=collection, label=label, model=model)
    return Call("POST", "/admin/jobs/evaluate", answer(Job), json=body, headers=once(idempotency_key))


def start_learning_words(
    keys: Sequence[str],
    *,
    collection: str | None = None,
    model: str | None = None,
    min_pictures: int | None = None,
    min_precision: float | None = None,
    idempotency_key: str | None = None,
) -> Call[Job]:
    """Have a job learn words from the metadata of a collection's pictures.

    Args:
        keys: Metadata keys with labels, lists of tags, or captions.
        collection: The collection; ``default`` if None.
        model: Learn from this model's codes; the collection's own if None.
        min_pictures: Minimum number of pictures that carry a word; 3 if None.
        min_precision: Least cross-validated precision of a word that searches use; 0.5 if None.
        idempotency_key: Repetitions with the same key are executed once. A random key if None.
    """
    body = given(
        keys=list(keys),
        collection=collection,
        model=model,
        min_pictures=min_pictures,
        min_precision=min_precision,
    )
    return Call("POST", "/admin/jobs/learn-words", answer(Job), json=body, headers=once(idempotency_key))


def activate_model(
    name: str,
    *,
    accept_missing: int | None = None,
    collection: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Activated]:
    """Switch a collection to a model.

    Args:
        name: Name of the model.
        accept_missing: Switch even if up to this many pictures have no code under it.
        collection: The collection; ``default`` if None.
        idempotency_key: Repetitions with the same key are executed once. A random key if None.
    """
    body = given(accept_missing=accept_missing, collection=collection)
    return Call(
        "POST",
        path("admin", "models", name, "activate"),
        answer(Activated),
        json=body,
        headers=once(idempotency_key),
    )


def roll_back_model(*, collection: str | None = None, idempotency_key: str | None = None) -> Call[Activated]:
    """Switch a collection to the model before the last switch."""
    body = given(collection=collection)
    return Call("POST", "/admin/models/rollback", answer(Activated), json=body, headers=once(idempotency_key))


def prune_codes(*, collection: str | None = None, idempotency_key: str | None = None) -> Call[Pruned]:
    """Delete the codes of a collection's inactive models."""
    body = given(collection=collection)
    return Call("POST", "/admin/models/prune", answer(Pruned), json=body, headers=once(idempotency_key))


def compare_models(
    new: str,
    queries: Sequence[str],
    *,
    old: str | None = None,
    limit: int | None = None,
    collection: str | None = None,
) -> Call[Compared]:
    """Compare two models on the same queries.

    Args:
        new: Name of a model.
        queries: Ids of stored pictures, 1,000 at most.
        old: Name of the other; the collection's own if None.
        limit: Number of results to compare for each query.
        collection: The collection; ``default`` if None.
    """
    body = given(new=new, queries=queries, old=old, limit=limit, collection=collection)
    return Call("POST", "/admin/models/compare", answer(Compared), json=body)
