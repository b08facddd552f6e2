"""Run the examples of docs/client.md on a real server, without the dependencies of the service."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.api.conftest import draw
from tests.fixtures.server import start_server

ROOT = Path(__file__).parents[2]
WITHOUT_THE_SERVICE = """
import sys
for name in ("app", "fastapi", "numpy", "onnxruntime", "PIL", "pydantic", "sqlalchemy", "starlette"):
    sys.modules[name] = None  # importing it raises ImportError
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = start_server(tmp_path_factory.mktemp("server"), "--worker")
    yield server
    server.stop()
    server.process.stdout.close()


def test_the_examples_of_the_documentation_run(server, tmp_path):
    for seed, name in enumerate(("shoe.jpg", "boot.jpg", "photo.jpg")):
        (tmp_path / name).write_bytes(draw(seed, kind="JPEG"))
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.writestr("good.png", draw(7))
        archive.writestr("bad.png", b"no picture")
    text = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 6
    code = "\n".join([WITHOUT_THE_SERVICE, *blocks]).replace("http://127.0.0.1:8000", server.url)
    env = {**os.environ, "LOOKALIKE_URL": server.url, "PYTHONPATH": str(ROOT)}
    env.pop("LOOKALIKE_KEY", None)

    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    printed = run.stdout.splitlines()
    assert "sku-88 sku-89" in printed
    assert "succeeded 2 2" in printed
    assert any(line.startswith("bad.png ") for line in printed)
    assert any(line.startswith("unknown_image ") for line in printed)


def test_the_documentation_names_every_method():
    from lookalike_client import Client

    text = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
    internal = {"close", "send", "stream", "items"}

    missing = [n for n in dir(Client) if not n.startswith("_") and n not in internal and f"`{n}`" not in text]
    assert missing == []


def test_service_and_client_have_one_version():
    import app
    import lookalike_client

    assert lookalike_client.__version__ == app.__version__
