"""The commands and programs of README and documentation run as they stand, page by page, against a service."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.samples import samples
from tests.api.conftest import draw
from tests.fixtures.archives import zip_of
from tests.fixtures.doc_blocks import ALL_BLOCKS, PAGES, ROOT, RUN_LANGUAGES, Block
from tests.fixtures.forked import commands_of_shells
from tests.fixtures.proxies import program
from tests.fixtures.server import Server, start_server

SHOWN_LANGUAGES = frozenset({"caddy", "html", "ini", "js", "json", "md", "nginx", "text", "toml", "ts", "yaml"})
"""Languages of blocks that show something and are not commands."""

NOT_RUN = {
    "docker": 2,
    "installs": 4,
    "needs a ClickHouse server": 1,
    "needs an export": 1,
    "only while the job runs": 1,
    "other services": 1,
    "reads published collections": 3,
    "root": 1,
    "systemd": 1,
    "trains": 5,
}
"""Why blocks are not run, and how many of each reason; a change must be on purpose."""

KEY = "admin-key-of-the-documentation-1"
ADDRESSES = ("localhost:8000", "127.0.0.1:8000")
PRELUDE = """
curl() { command curl --silent --show-error --fail-with-body --max-time 240 "$@"; }
lookalike() { $LOOKALIKE "$@"; }
python() { "$PYTHON" "$@"; }
"""
RUN = [block for block in ALL_BLOCKS if block.language in RUN_LANGUAGES and block.reason is None]
RUN_PAGES = [page for page in PAGES if any(block.page == page for block in RUN)]


def test_every_block_names_its_language():
    known = RUN_LANGUAGES | SHOWN_LANGUAGES

    assert [block.place for block in ALL_BLOCKS if block.language not in known] == []


def test_blocks_that_are_not_run_say_why():
    marked = [block for block in ALL_BLOCKS if block.reason is not None]
    for block in marked:
        print(f"not run: {block.reason}: {block.place}")

    assert [block.place for block in marked if block.language not in RUN_LANGUAGES] == []
    assert dict(sorted(Counter(block.reason for block in marked).items())) == NOT_RUN


def test_most_blocks_are_run():
    assert len(RUN) >= 8
    assert ROOT / "README.md" in RUN_PAGES


@pytest.fixture(scope="module")
def start_service(
    tmp_path_factory: pytest.TempPathFactory, make_data_dir: Callable[[Path], Path]
) -> Iterator[Callable[[bool], Server]]:
    """Starts, when first asked, a service with some sample pictures and a worker, with keys or without."""
    servers: dict[bool, Server] = {}

    def start(keyed: bool) -> Server:
        if keyed in servers:
            return servers[keyed]
        folder = tmp_path_factory.mktemp("documented")
        write_pictures(folder / "imports" / "shoes" / "2024")
        environment = {
            "LOOKALIKE_IMPORT_ROOT": str(folder / "imports"),
            # The commands wait for jobs, beside other tests.
            "LOOKALIKE_WORKER_NICE": "0",
            "LOOKALIKE_DECODE_CHILDREN": "1",
            "LOOKALIKE_CORS_ORIGINS": "http://localhost:5173",
        } | ({"LOOKALIKE_BOOTSTRAP_ADMIN_KEY": KEY} if keyed else {})
        server = servers[keyed] = start_server(make_data_dir(folder / "data"), "--worker", env=environment)
        named = [sample for sample in samples() if sample.image_id in {"sunset-01", "fish-03"}]
        with server.client(headers={"X-API-Key": KEY} if keyed else {}) as client:
            answer = client.post(
                "/index",
                files=[("files", (sample.image_id, sample.read())) for sample in named],
                data={"ids": json.dumps([sample.image_id for sample in named])},
            )
            assert answer.status_code == 200, answer.text
        return server

    yield start
    for server in servers.values():
        server.stop()
        server.process.stdout.close()


def write_pictures(folder: Path, count: int = 3) -> None:
    folder.mkdir(parents=True)
    for seed in range(count):
        (folder / f"{seed}.jpg").write_bytes(draw(seed, kind="JPEG"))


def prepare(folder: Path) -> None:
    """Write the files that the documentation names as the reader's own."""
    write_pictures(folder / "home" / "Pictures")
    command = folder / ".venv" / "bin" / "lookalike"
    command.parent.mkdir(parents=True)
    command.write_text('#!/bin/sh\nexec $LOOKALIKE "$@"\n')
    command.chmod(0o755)
    for seed, name in enumerate(("shoe.jpg", "boot.jpg", "photo.jpg"), 10):
        (folder / name).write_bytes(draw(seed, kind="JPEG"))
    pictures = {f"boots/{seed}.jpg": draw(seed, kind="JPEG") for seed in range(20, 24)}
    (folder / "more.zip").write_bytes(zip_of({"hat.jpg": draw(29, kind="JPEG")}))
    (folder / "pictures.zip").write_bytes(zip_of({**pictures, "boots/damaged.jpg": b"\xff\xd8\xff"}))
    classes = {f"{kind}/{seed}.jpg": draw(seed, kind="JPEG") for seed, kind in enumerate(("cup", "ant"), 30)}
    (folder / "caltech101.zip").write_bytes(zip_of(classes))
    lines = [{"uri": f"shoes/2024/{n}.jpg", "id": f"shoe-{n}", "metadata": {"year": 2024}} for n in range(3)]
    (folder / "list.ndjson").write_text("\n".join(map(json.dumps, lines)))
    (folder / "list.csv").write_text("uri,id,year\nshoes/2024/0.jpg,listed-0,2024\n")


def script_of(blocks: list[Block], netloc: str) -> str:
    """Return one shell script of a page's blocks; only the address of the service differs from the page.

    The Python blocks of a page are one program, which runs last: they go on from one another.
    """
    shell = [
        f"echo '--- {block.place}' >&2\n{block.commands}" for block in blocks if block.language != "python"
    ]
    program = "\n".join(block.code for block in blocks if block.language == "python")
    if program:
        shell.append(f"LOOKALIKE_URL=http://{netloc} python - <<'END-OF-PROGRAM'\n{program}\nEND-OF-PROGRAM")
    script = "\n".join(shell)
    for address in ADDRESSES:
        script = script.replace(address, netloc)
    return PRELUDE + script


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", RUN_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_run(page, start_service, make_data_dir, tmp_path):
    for name in ("bash", "curl", "jq"):
        program(name)
    blocks = [block for block in RUN if block.page == page]
    keyed = any("$KEY" in block.code or '"KEY"' in block.code for block in blocks)
    server = start_service(keyed)
    prepare(tmp_path)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LOOKALIKE_")},
        "HOME": str(tmp_path / "home"),
        # For commands without --url: a database of its own, so that a key made there closes nothing else.
        "LOOKALIKE_DATA_DIR": str(make_data_dir(tmp_path / "data")),
        "LOOKALIKE_DECODE_CHILDREN": "1",
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "200",
    } | ({"KEY": KEY} if keyed else {})
    with commands_of_shells(tmp_path / "commands") as command:
        done = subprocess.run(
            [shutil.which("bash"), "-euo", "pipefail", "-c", script_of(blocks, urlsplit(server.url).netloc)],
            cwd=tmp_path,
            env=environment | {"LOOKALIKE": command},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
