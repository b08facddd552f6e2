"""The real application in this process, on a fresh database, with the shipped model."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from app.api.app import create_app
from app.settings import Settings
from tests.fixtures.shared_models import shared_models  # noqa: F401


def local_client(app: FastAPI, **options) -> TestClient:
    """A client on this machine, which needs no key while there is none."""
    return TestClient(app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50_000), **options)


def draw(seed: int, *, size: int = 96, kind: str = "PNG", **save) -> bytes:
    """A picture of soft colours; equal seeds give equal bytes."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    out = io.BytesIO()
    coarse.resize((size, size), Image.Resampling.BICUBIC).save(out, kind, **save)
    return out.getvalue()


class Api:
    """The calls that tests make most, in few words."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def add(self, *contents: bytes, ids=None, metadata=None, uris=None, headers=None, **fields):
        data = {name: str(value) for name, value in fields.items()}
        for name, values in {"ids": ids, "metadata": metadata, "uris": uris}.items():
            if values is not None:
                data[name] = json.dumps(values)
        files = [("files", (f"{i}.png", content)) for i, content in enumerate(contents)]
        return self.client.post("/index", files=files, data=data, headers=headers)

    def search(self, content: bytes, headers=None, **fields):
        data = {k: v if isinstance(v, str) else json.dumps(v) for k, v in fields.items()}
        return self.client.post("/search", files={"file": ("q", content)}, data=data, headers=headers)

    def ids(self, answer) -> list[str]:
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]


@pytest.fixture
def settings(tmp_path: Path, make_data_dir: Callable[[Path], Path]) -> Settings:
    return Settings(data_dir=make_data_dir(tmp_path / "data"), decode_children=1)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    app = create_app(settings, load_first=True)
    with local_client(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def shared_api(
    tmp_path_factory: pytest.TempPathFactory, make_data_dir: Callable[[Path], Path]
) -> Iterator[Api]:
    """One service for the tests of a module that write nothing, or only what the others do not see."""
    settings = Settings(data_dir=make_data_dir(tmp_path_factory.mktemp("shared") / "data"), decode_children=1)
    with local_client(create_app(settings, load_first=True), raise_server_exceptions=False) as client:
        yield Api(client)


@pytest.fixture
def api(client: TestClient) -> Api:
    return Api(client)


def assert_problem(answer, status: int, code: str) -> dict:
    """The answer is a documented problem+json and says nothing of our insides."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert {"type", "title", "detail", "instance", "errors"} <= body.keys()
    assert "Traceback" not in answer.text
    return body
