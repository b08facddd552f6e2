"""Add, list, read, change and delete pictures; import many."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lookalike_client.answers.jobs import Job
from lookalike_client.answers.pictures import AddResponse, DeleteResponse, Image, ImageList
from lookalike_client.calls import (
    UNSET,
    Call,
    Part,
    Repeat,
    UnsetType,
    answer,
    as_text,
    changes,
    content,
    given,
    nothing,
    once,
    path,
)
from lookalike_client.inputs import FilterLike, NewPicture, OnDuplicate, OnNearDuplicate
from lookalike_client.uploads import Upload


def add_pictures(
    pictures: Sequence[NewPicture | Upload],
    *,
    on_duplicate: OnDuplicate | None = None,
    suggest: bool | None = None,
    on_near_duplicate: OnNearDuplicate | None = None,
    collection: str | None = None,
    idempotency_key: str | None = None,
) -> Call[AddResponse]:
    """Add up to 32 pictures; each has its own outcome.

    Args:
        pictures: Files, or files with ids, uris and metadata.
        on_duplicate: What to do with a picture whose id is stored already; the service's default is ``skip``.
        suggest: True asks for words for each stored picture.
        on_near_duplicate: What to do with a copy, edited or not, of a picture that is stored under another id;
            None not to look for them.
        collection: The collection; ``default`` if None.
        idempotency_key: Repetitions with the same key are executed once. A random key if None.
    """
    whole = [one if isinstance(one, NewPicture) else NewPicture(one) for one in pictures]
    lists = {
        "ids": [one.id for one in whole],
        "uris": [one.uri for one in whole],
        "metadata": [None if one.metadata is None else dict(one.metadata) for one in whole],
    }
    options = {
        "on_duplicate": on_duplicate,
        "on_near_duplicate": on_near_duplicate,
        "suggest": suggest,
        "collection": collection,
    }
    return Call(
        "POST",
        "/index",
        answer(AddResponse),
        form=as_text(lists | given(**options)),
        parts=[Part("files", one.content, one.name) for one in whole],
        headers=once(idempotency_key),
    )


def import_upload(
    *,
    archive: Upload | None = None,
    list: Upload | None = None,
    name: str | None = None,
    on_duplicate: OnDuplicate | None = None,
    on_near_duplicate: OnNearDuplicate | None = None,
    label: bool | None = None,
    collection: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Job]:
    """Have a job import an archive of pictures or a list of references; give exactly one of the two.

    Args:
        archive: A zip, tar or tar.gz.
        list: References as a file named ``.csv``, ``.ndjson`` or ``.jsonl``.
        name: Name of the file; the path's or file object's if None.
        on_duplicate: What to do with a picture whose id is stored already.
        on_near_duplicate: What to do with a copy, edited or not, of a picture under another id; copies are not
            looked for if None.
        label: Whether to store the name of a file's folder as the metadata key ``label``.
        collection: The collection; ``default`` if None.
        idempotency_key: Repetitions with the same key are executed once. A random key if None.
    """
    files = {"archive": archive, "list": list}
    fields = given(
        on_duplicate=on_duplicate, on_near_duplicate=on_near_duplicate, label=label, collection=collection
    )
    return Call(
        "POST",
        "/index/upload",
        answer(Job),
        form=as_text(fields),
        parts=[Part(field, file, name) for field, file in files.items() if file is not None],
        headers=once(idempotency_key),
    )


def import_pictures(
    *,
    folder: str | None = None,
    prefix: str | None = None,
    urls: Sequence[str] | None = None,
    on_duplicate: OnDuplicate | None = None,
    on_near_duplicate: OnNearDuplicate | None = None,
    label: bool | None = None,
    collection: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Job]:
    """Have a job import pictures from exactly one of ``folder``, ``prefix`` and ``urls``.

    Args:
        folder: A folder below the service's LOOKALIKE_IMPORT_ROOT.
        prefix: An object-store prefix below one of LOOKALIKE_IMPORT_PREFIXES.
        urls: Addresses on hosts of LOOKALIKE_FETCH_HOSTS.
        on_duplicate: What to do with a picture whose id is stored already.
        on_near_duplicate: What to do with a copy, edited or not, of a picture under another id; copies are not
            looked for if None.
        label: Whether to store the name of a file's folder as the metadata key ``label``.
        collection: The collection; ``default`` if None.
        idempotency_key: Repetitions with the same key are executed once. A random key if None.
    """
    body = given(
        folder=folder,
        prefix=prefix,
        urls=urls,
        on_duplicate=on_duplicate,
        on_near_duplicate=on_near_duplicate,
        label=label,
        collection=collection,
    )
    return Call("POST", "/index/import", answer(Job), json=body, headers=once(idempotency_key))


def list_pictures(
    *,
    filter: FilterLike | None = None,
    order: Literal["oldest", "newest"] | None = None,
    limit: int | None = None,
    cursor: str | None = None,
    collection: str | None = None,
    absolute_urls: bool | None = None,
) -> Call[ImageList]:
    """Return a page of the pictures of a collection.

    Args:
        filter: Conditions on metadata.
        order: Which pictures come first; the service's default is ``oldest``.
        limit: Most pictures of a page.
        cursor: ``next_cursor`` of the previous page.
        collection: The collection; ``default`` if None.
        absolute_urls: True gives URLs of pictures with scheme and host.
    """
    params = given(
        filter=filter,
        order=order,
        limit=limit,
        cursor=cursor,
        collection=collection,
        absolute_urls=absolute_urls,
    )
    return Call("GET", "/images", answer(ImageList), params=as_text(params))


def get_picture(
    image_id: str, *, collection: str | None = None, absolute_urls: bool | None = None
) -> Call[Image]:
    """Return the record of a stored picture."""
    params = given(collection=collection, absolute_urls=absolute_urls)
    return Call("GET", path("images", image_id), answer(Image), params=as_text(params))


def put_picture(
    image_id: str,
    file: Upload,
    *,
    uri: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    on_near_duplicate: Literal["error"] | None = None,
    collection: str | None = None,
    absolute_urls: bool | None = None,
) -> Call[Image]:
    """Store a picture under an id, in place of the one that is stored there.

    Args:
        image_id: The id.
        file: The picture.
        uri: Where the original is.
        metadata: A JSON object.
        on_near_duplicate: ``error`` refuses a copy, edited or not, of a picture stored under another id;
            copies are not looked for if None.
        collection: The collection; ``default`` if None.
        absolute_urls: True gives URLs of pictures with scheme and host.
    """
    return Call(
        "PUT",
        path("images", image_id),
        answer(Image),
        params=as_text(
            given(on_near_duplicate=on_near_duplicate, collection=collection, absolute_urls=absolute_urls)
        ),
        form=as_text(given(uri=uri, metadata=metadata)),
        parts=[Part("file", file)],
    )


def patch_picture(
    image_id: str,
    *,
    metadata: Mapping[str, Any] | UnsetType | None = UNSET,
    uri: str | UnsetType | None = UNSET,
    revision: int | None = None,
    collection: str | None = None,
    absolute_urls: bool | None = None,
) -> Call[Image]:
    """Replace a picture's metadata or uri; what is not given stays.

    Args:
        image_id: Id of the picture.
        metadata: Replaces all metadata; None removes it.
        uri: Where the original is; None removes it.
        revision: Change the picture only if this is still its ``revision``.
        collection: The collection; ``default`` if None.
        absolute_urls: True gives URLs of pictures with scheme and host.
    """
    return Call(
        "PATCH",
        path("images", image_id),
        answer(Image),
        params=as_text(given(collection=collection, absolute_urls=absolute_urls)),
        json=changes(metadata=metadata, uri=uri),
        headers=_if_revision(revision),
        repeat=Repeat.IF_REFUSED,
    )


def delete_picture(image_id: str, *, revision: int | None = None, collection: str | None = None) -> Call[None]:
    """Delete a picture.

    Args:
        image_id: Id of the picture.
        revision: Delete it only if this is still its ``revision``.
        collection: The collection; ``default`` if None.
    """
    return Call(
        "DELETE",
        path("images", image_id),
        nothing,
        params=as_text(given(collection=collection)),
        headers=_if_revision(revision),
        repeat=Repeat.IF_REFUSED,
    )


def delete_pictures(
    *,
    ids: Sequence[str] | None = None,
    filter: FilterLike | None = None,
    samples: bool | None = None,
    all: bool | None = None,
    dry_run: bool | None = None,
    collection: str | None = None,
    idempotency_key: str | None = None,
) -> Call[DeleteResponse]:
    """Delete pictures by exactly one of ``ids``, ``filter``, ``samples`` and ``all``.

    Args:
        ids: Ids of the pictures, 10,000 at most.
        filter: Conditions on metadata, at least one.
        samples: True for the pictures of the sample gallery.
        all: True for every picture of the collection.
        dry_run: True only reports what would be deleted.
        collection: The collection; ``default`` if None.
        idempotency_key: Repetitions with the same key are executed once. A random key if None.
    """
    body = given(ids=ids, filter=filter, samples=samples, all=all, dry_run=dry_run, collection=collection)
    return Call("POST", "/images/delete", answer(DeleteResponse), json=body, headers=once(idempotency_key))


def get_thumbnail(
    image_id: str, *, size: Literal[64, 128, 256, 512] | None = None, collection: str | None = None
) -> Call[bytes]:
    """Return a thumbnail as the bytes of a WebP file.

    Args:
        image_id: Id of the picture.
        size: Longest side in pixels; the service's default is 256.
        collection: The collection; ``default`` if None.
    """
    params = as_text(given(size=size, collection=collection))
    return Call("GET", path("images", image_id, "thumbnail"), content, params=params)


def get_content(image_id: str, *, collection: str | None = None) -> Call[bytes]:
    """Return the bytes of the original file, without the position where the picture was taken."""
    params = as_text(given(collection=collection))
    return Call("GET", path("images", image_id, "content"), content, params=params)


def _if_revision(revision: int | None) -> dict[str, str]:
    return {} if revision is None else {"If-Match": f'"{revision}"'}
