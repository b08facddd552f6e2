"""The command in this process, on a data folder of the test's own or on a service in this process."""

import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from app.api.app import create_app
from app.cli.main import main
from app.cli.terminal.service_record import RunningService, ServiceRecord
from app.cli.terminal.settings import check_database
from app.settings import Settings
from tests.fixtures.shared_models import shared_models  # noqa: F401
from tools.sample_gallery import draw_gallery


@dataclass
class Done:
    """What a command has printed."""

    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        return json.loads(self.stdout)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def rows(self) -> list[list[str]]:
        """The rows of a table below its header."""
        return [line.split("\t") for line in self.stdout.splitlines()[1:]]


@pytest.fixture
def data_dir(tmp_path: Path, make_data_dir: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a migrated database, which the environment names."""
    folder = make_data_dir(tmp_path / "data")
    monkeypatch.setenv("LOOKALIKE_DATA_DIR", str(folder))
    monkeypatch.setenv("LOOKALIKE_DECODE_CHILDREN", "1")
    monkeypatch.delenv("LOOKALIKE_URL", raising=False)
    monkeypatch.delenv("LOOKALIKE_KEY", raising=False)
    return folder


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    return Settings(data_dir=data_dir, decode_children=1)


@contextmanager
def serving(settings: Settings, *, record: bool = True) -> Iterator[str]:
    """A service in a thread of this process, recorded in its data folder as `serve` does."""
    # Before the service opens the file: closing it here would release SQLite's locks of this process.
    database = check_database(settings)
    app = create_app(settings, load_first=True)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            thread.join(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        written = ServiceRecord(settings.storage.data_dir)
        if record:
            written.write(RunningService.here("127.0.0.1", port, database))
        yield f"http://127.0.0.1:{port}"
        written.remove()
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def run(data_dir: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs the command in this process as its entry point does; ``status`` is the exit code to expect."""

    def run(*arguments: object, status: int = 0) -> Done:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert (ended.value.code or 0) == status, out + err
        assert "Traceback" not in err
        return Done(out, err)

    return run


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures in two folders, a damaged one, and files that are not pictures."""
    root = tmp_path_factory.mktemp("pictures")
    for picture in islice(draw_gallery(), 3):
        (root / picture.group).mkdir(exist_ok=True)
        (root / picture.group / f"{picture.name}.jpg").write_bytes(picture.jpeg)
    (root / "damaged.jpg").write_text("no picture")
    (root / "notes.txt").write_text("a text")
    (root / ".hidden.jpg").write_text("hidden")
    return root


@pytest.fixture(scope="session")
def archive(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip of the folder."""
    path = tmp_path_factory.mktemp("archives") / "pictures.zip"
    with zipfile.ZipFile(path, "w") as file:
        for picture in sorted(folder.rglob("*")):
            if picture.is_file():
                file.write(picture, picture.relative_to(folder))
    return path


@pytest.fixture
def picture(folder: Path) -> Path:
    return min(folder.rglob("*-*.jpg"))


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
