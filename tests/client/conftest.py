"""Both clients, on the real application in this process."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from app.api.app import create_app
from app.settings import Settings
from lookalike_client import AsyncClient, Client, NewPicture
from tests.api.conftest import draw, local_client
from tests.fixtures.shared_models import shared_models  # noqa: F401

URL = "http://127.0.0.1:8000"


class Awaited:
    """An ``AsyncClient`` whose coroutines and iterators run in the event loop of the application."""

    def __init__(self, client: AsyncClient, portal) -> None:
        self._client = client
        self._portal = portal

    def __getattr__(self, name: str):
        method = getattr(self._client, name)

        def call(*args, **options):
            async def run():
                answer = method(*args, **options)
                if inspect.isasyncgen(answer):
                    return [item async for item in answer]
                return await answer

            return self._portal.call(run)

        return call


def transport_of(service) -> httpx2.ASGITransport:
    """A transport that calls the application from this machine."""
    return httpx2.ASGITransport(service.app, client=("127.0.0.1", 50_000))


@pytest.fixture(scope="module")
def service(tmp_path_factory, make_data_dir: Callable[[Path], Path]):
    """The test client of a started application."""
    settings = Settings(data_dir=make_data_dir(tmp_path_factory.mktemp("client") / "data"), decode_children=1)
    with local_client(create_app(settings, load_first=True)) as started:
        yield started


@pytest.fixture(params=["blocking", "async"])
def client(request, service) -> Iterator[Client]:
    """One client, then the other."""
    if request.param == "blocking":
        with Client(URL, key="", transport=service._transport) as client:
            yield client
        return
    client = Awaited(AsyncClient(URL, key="", transport=transport_of(service)), service.portal)
    yield client
    client.close()


@pytest.fixture
def pictures(client: Client) -> dict[str, bytes]:
    """The files of four stored pictures, ``p0`` to ``p3``, in an otherwise empty collection."""
    contents = {f"p{i}": draw(i) for i in range(4)}
    client.delete_pictures(all=True)
    new = [NewPicture(content, id=name, metadata={"n": name}) for name, content in contents.items()]
    assert client.add_pictures(new).counts == {"created": 4}
    return contents
