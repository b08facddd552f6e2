"""What type checkers know of the clients; mypy checks this module, nothing runs it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import assert_type

from lookalike_client import AsyncClient, Client, Image, Job, SearchHit, SearchResponse


def blocking(client: Client) -> None:
    """Return types, and mistakes that are found before a program runs."""
    assert_type(client.search_by_upload(Path("a.jpg"), limit=3), SearchResponse)
    assert_type(client.iter_pictures(), Iterator[Image])
    assert_type(client.iter_search_by_upload(b""), Iterator[SearchHit])
    assert_type(client.stream_job_events("j"), Iterator[Job])
    client.search_by_upload("a.jpg")  # type: ignore[arg-type]
    client.search_by_upload(b"", limt=3)  # type: ignore[call-arg]
    client.create_key("name", "serach")  # type: ignore[arg-type]


async def in_an_event_loop(client: AsyncClient) -> None:
    """The same methods with coroutines and asynchronous iterators."""
    assert_type(await client.search_by_upload(Path("a.jpg"), limit=3), SearchResponse)
    assert_type(client.iter_pictures(), AsyncIterator[Image])
    async for hit in client.iter_search_by_query(image_id="a"):
        assert_type(hit, SearchHit)
    assert_type(await client.wait_for_job("j"), Job)
