"""Use the client that openapi-python-client generates: add, search, page, read an error, delete.

Arguments: the URL of a running service, and a folder with sunset-01.jpg, sunset-02.jpg and forest-01.jpg.
"""

import json
import sys
from http import HTTPStatus
from io import BytesIO
from pathlib import Path

from generated_client import Client
from generated_client.api.pictures import (
    add_pictures,
    delete_picture,
    get_picture,
    get_thumbnail,
    patch_picture,
)
from generated_client.api.search import search_by_query, search_by_upload
from generated_client.models import (
    AddResponse,
    AddUpload,
    ErrorCode,
    FilterCondition,
    FilterDocument,
    Image,
    ImagePatch,
    Problem,
    SearchRequest,
    SearchResponse,
    SearchUpload,
)
from generated_client.types import File

NAMES = ("sunset-01", "sunset-02", "forest-01")


def main(url: str, folder: Path) -> None:
    """Make each call and check what it returns."""
    client = Client(base_url=url, raise_on_unexpected_status=True)
    contents = [(folder / f"{name}.jpg").read_bytes() for name in NAMES]
    files = [File(BytesIO(content), f"{name}.jpg") for name, content in zip(NAMES, contents, strict=True)]
    kinds = json.dumps([{"label": name.partition("-")[0]} for name in NAMES])
    added = add_pictures.sync(
        client=client, body=AddUpload(files=files, ids=json.dumps(list(NAMES)), metadata=kinds)
    )
    assert isinstance(added, AddResponse), added
    assert [item.id for item in added.items] == list(NAMES)

    query = SearchUpload(file=File(BytesIO(contents[0]), "query.jpg"), limit=1)
    first = search_by_upload.sync(client=client, body=query)
    assert isinstance(first, SearchResponse), first
    assert [(item.id, item.exact) for item in first.items] == [("sunset-01", True)]
    second = search_by_query.sync(client=client, body=SearchRequest(cursor=first.next_cursor))
    assert isinstance(second, SearchResponse), second
    assert len(second.items) == 1
    assert second.items[0].id != "sunset-01"

    forests = FilterDocument(must=[FilterCondition(key="label", match="forest")])
    filtered = search_by_query.sync(client=client, body=SearchRequest(image_id="sunset-01", filter_=forests))
    assert isinstance(filtered, SearchResponse), filtered
    assert [item.id for item in filtered.items] == ["forest-01"]

    thumbnail = get_thumbnail.sync("sunset-01", client=client)
    assert isinstance(thumbnail, File), thumbnail
    assert thumbnail.payload.read(4) == b"RIFF"
    changed = patch_picture.sync("sunset-01", client=client, body=ImagePatch(metadata={"label": "evening"}))
    assert isinstance(changed, Image), changed
    assert changed.metadata.additional_properties == {"label": "evening"}

    assert delete_picture.sync_detailed("sunset-01", client=client).status_code is HTTPStatus.NO_CONTENT
    gone = get_picture.sync("sunset-01", client=client)
    assert isinstance(gone, Problem), gone
    assert gone.code is ErrorCode.UNKNOWN_IMAGE
    wrong = search_by_query.sync(client=client, body=SearchRequest(image_id="sunset-02", limit=0))
    assert isinstance(wrong, Problem), wrong
    assert wrong.detail == "Field `limit` must be at least 1, not 0."
    for name in NAMES[1:]:
        delete_picture.sync_detailed(name, client=client)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
