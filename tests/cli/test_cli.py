"""The command, as a user types it: on the local database and on a running service."""

import io
import json
import os
import subprocess
import sys
import zipfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest

from app.cli.main import main
from app.settings import SETTING_GROUPS, SETTING_NAMES
from tests.fixtures.archives import zip_of
from tests.fixtures.forked import run_command
from tests.fixtures.shared_models import shared_models  # noqa: F401
from tools.sample_gallery import draw_gallery

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Six pictures in two folders, a text file and a hidden one."""
    root = tmp_path_factory.mktemp("pictures")
    for picture in islice(draw_gallery(), 6):
        (root / picture.group).mkdir(exist_ok=True)
        (root / picture.group / f"{picture.name}.jpg").write_bytes(picture.jpeg)
    (root / "notes.jpg").write_text("no picture")
    (root / ".hidden.jpg").write_text("no picture either")
    (root / "Thumbs.db").write_text("left by Windows")
    return root


@pytest.fixture
def lookalike(tmp_path, monkeypatch):
    """Runs the command in this process, on a data folder of the test's own."""
    monkeypatch.setenv("LOOKALIKE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, status: int = 0, env: dict[str, str] | None = None) -> Done:
        out, err = captured(), captured()
        with monkeypatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", ["lookalike", *arguments])
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main()
        done = Done(ended.value.code or 0, *(stream.buffer.getvalue().decode() for stream in (out, err)))
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def captured() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


@pytest.fixture
def process(tmp_path):
    """Runs the command in a process of its own, as a user does, on the same folder as ``lookalike``."""
    environment = {**os.environ, "LOOKALIKE_DATA_DIR": str(tmp_path / "data"), "COLUMNS": "200"}

    def run(*arguments: str, status: int = 0, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
        done = run_command(*arguments, env={**environment, **(env or {})})
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run


def a_picture(folder: Path) -> Path:
    return min(folder.rglob("*-*.jpg"))


def test_index_then_search_on_the_local_database(process, lookalike, folder):
    done = process("index", str(folder), "--json", status=1)

    report = json.loads(done.stdout)
    assert report["counts"] == {"created": 6, "failed": 1}
    assert report["failures"] == [
        {
            "file": "notes.jpg",
            "status": "failed",
            "code": "not_an_image",
            "detail": report["failures"][0]["detail"],
        }
    ]
    again = json.loads(lookalike("index", str(folder), "--json", status=1).stdout)
    assert again["counts"] == {"unchanged": 6, "failed": 1}
    picture = a_picture(folder)
    answer = json.loads(process("search", str(picture), "--json", "--limit", "3").stdout)
    assert [item["exact"] for item in answer["items"]] == [True, False, False]
    assert answer["items"][0]["uri"] == picture.relative_to(folder).as_posix()
    assert answer["items"][0]["metadata"]["label"] == picture.parent.name


def test_failures_are_listed_in_a_table(lookalike, folder):
    done = lookalike("index", str(folder), status=1)

    assert "6 added, 1 failed" in done.stderr
    assert "not_an_image" in done.stdout


def test_names_are_shown_as_they_are(lookalike, folder, tmp_path):
    root = tmp_path / "p"
    (root / "set [").mkdir(parents=True)
    (root / "[bold]:smile:.jpg").write_bytes(a_picture(folder).read_bytes())
    (root / "[artist] bad.jpg").write_text("no picture")
    (root / "set [" / "old] bad.jpg").write_text("no picture")
    (root / "\x1b[31mred.jpg").write_text("no picture")

    done = lookalike("index", str(root), status=1)

    for name in ("[artist] bad.jpg", "set [/old] bad.jpg", "\\x1b[31mred.jpg"):
        assert name in done.stdout
    found = lookalike("search", str(root / "[bold]:smile:.jpg"))
    assert "[bold]:smile:.jpg" in found.stdout


def test_a_name_that_is_no_text_costs_no_picture(lookalike, folder, tmp_path):
    root = tmp_path / "p"
    (root / os.fsdecode(b"k\xe4fer")).mkdir(parents=True)
    pictures = sorted(folder.rglob("*-*.jpg"))[:2]
    for picture, name in zip(pictures, (b"a.jpg", b"k\xe4fer/\xe4.jpg"), strict=True):
        (root / os.fsdecode(name)).write_bytes(picture.read_bytes())
    (root / os.fsdecode(b"bad\xe4.jpg")).write_text("no picture")

    report = json.loads(lookalike("index", str(root), "--json", status=1).stdout)

    assert report["counts"] == {"created": 2, "failed": 1}
    assert [failure["file"] for failure in report["failures"]] == ["bad\\xe4.jpg"]
    found = json.loads(lookalike("search", str(pictures[1]), "--json").stdout)
    assert found["items"][0]["uri"] == "k\\xe4fer/\\xe4.jpg"
    assert found["items"][0]["metadata"] == {"label": "k\\xe4fer"}


def test_search_prints_a_table(lookalike, folder):
    lookalike("index", str(a_picture(folder)))

    done = lookalike("search", str(a_picture(folder)))

    assert "distance" in done.stdout
    assert a_picture(folder).name in done.stdout
    assert "1 pictures of 'default'" in done.stderr
    by_words = lookalike("search", "--text", "crane -dog")
    assert a_picture(folder).name in by_words.stdout
    assert "crane: crane (lifting device), kinds: construction crane; or crane (wading bird)" in by_words.stderr


@pytest.mark.parametrize("query", [[], ["a.jpg", "--text", "dog"]])
def test_a_search_takes_a_picture_or_words(lookalike, query):
    assert "--text" in lookalike("search", *query, status=2).stderr


def test_a_running_service_is_reached_by_url_and_key(lookalike, folder, start):
    secret = "a-key-for-the-command-test"
    server = start(env={"LOOKALIKE_BOOTSTRAP_ADMIN_KEY": secret})

    refused = lookalike("info", "--url", server.url, status=4)
    assert "unauthenticated" in refused.stderr
    lookalike("index", str(folder), "--url", server.url, "--key", secret, status=1)
    info = json.loads(lookalike("info", "--json", "--url", server.url, env={"LOOKALIKE_KEY": secret}).stdout)

    assert info["images"] == 6


def test_demo_takes_a_folder(lookalike, folder):
    done = lookalike("demo", "--dataset", str(folder), status=1)
    assert "6 added, 1 failed" in done.stderr


def test_demo_takes_a_zip_and_goes_on_behind_a_bad_entry(lookalike, folder, tmp_path):
    picture = a_picture(folder).read_bytes()
    whole = zip_of({"schön/a.jpg": picture, "schön/b.jpg": b"damaged", "notes.txt": b"x"}, zipfile.ZIP_STORED)
    (tmp_path / "set.zip").write_bytes(whole.replace(b"damaged", b"Damaged"))

    done = lookalike("demo", "--dataset", str(tmp_path / "set.zip"), status=1)

    assert "1 added, 1 failed" in done.stderr
    assert "schön/b.jpg" in done.stdout
    assert "entry_refused" in done.stdout


def test_demo_refuses_a_dataset_that_it_does_not_know(lookalike):
    assert "is not one of caltech101, cifar10" in lookalike("demo", "--dataset", "imagenet", status=2).stderr


def test_keys_are_made_listed_and_revoked(lookalike):
    text = lookalike("keys", "create", "phone", "--scope", "write").stdout.strip()

    listed = lookalike("keys", "list").stdout
    assert "phone" in listed
    assert text not in listed
    key_id = text.split("_")[1]
    rotated = lookalike("keys", "rotate", key_id, "--overlap-hours", "0").stdout.strip()
    assert rotated.startswith(f"lk_{key_id}_")
    assert rotated != text
    lookalike("keys", "change", key_id, "--scope", "read", "--collection", "shop", "--expires-in-days", "30")
    changed = lookalike("keys", "list").stdout
    assert "shop" in changed
    assert "read" in changed
    lookalike("keys", "change", key_id, "--all-collections", "--never-expires")
    assert "shop" not in lookalike("keys", "list").stdout
    assert "name something" in lookalike("keys", "change", key_id, status=2).stderr
    assert "revoked" in lookalike("keys", "revoke", key_id).stdout
    assert "no key" in lookalike("keys", "revoke", "nothing", status=4).stderr


def test_db_goes_up_and_down(lookalike):
    up = lookalike("db", "upgrade").stdout
    assert "the database is at" in up
    lookalike("db", "downgrade", "base")
    assert lookalike("db", "upgrade").stdout == up


def test_an_exposed_address_without_a_key_is_refused_at_the_start(process):
    done = process("serve", "--host", "0.0.0.0", status=2)

    assert "there is no key" in done.stderr


def test_a_service_that_does_not_answer_is_one_line(lookalike):
    done = lookalike("info", "--url", "http://127.0.0.1:9", status=3)

    assert "does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_duplicates_are_listed(lookalike, folder):
    picture = a_picture(folder)
    copy = folder / "copy.jpg"
    copy.write_bytes(picture.read_bytes())
    try:
        lookalike("index", str(picture), "--json")
        # The same bytes have the same id, so the copy goes in under another file: one byte longer.
        copy.write_bytes(picture.read_bytes() + b"\0")
        lookalike("index", str(copy), "--json")
    finally:
        copy.unlink()

    listed = lookalike("duplicates", "--max-distance", "0").stderr
    (group,) = [json.loads(line) for line in lookalike("duplicates", "--json").stdout.splitlines()]

    assert "2 pictures in 1 groups of 'default' within distance 0" in listed
    assert (group["size"], [image["distance"] for image in group["images"]]) == (2, [0, 0])


def test_a_command_says_which_database_it_uses(lookalike, tmp_path):
    done = lookalike("keys", "list")

    assert f"lookalike: using database sqlite+aiosqlite:///{tmp_path / 'data' / 'lookalike.db'}" in done.stderr


def test_a_command_says_which_service_it_talks_to(lookalike):
    done = lookalike("info", "--url", "http://127.0.0.1:9", status=3)

    assert "lookalike: using service http://127.0.0.1:9\n" in done.stderr


@pytest.mark.parametrize(
    ("run", "command"),
    [
        ("process", ["serve", "--port", "0"]),
        ("process", ["worker"]),
        ("lookalike", ["info"]),
        ("lookalike", ["keys", "list"]),
    ],
)
def test_a_data_folder_that_cannot_be_written_to_is_one_line(request, tmp_path, run, command):
    """``serve`` and ``worker`` change the process that they run in: its heap and its priority."""
    (tmp_path / "file").write_text("no folder")

    done = request.getfixturevalue(run)(
        *command, status=2, env={"LOOKALIKE_DATA_DIR": str(tmp_path / "file" / "data")}
    )

    assert "cannot be written to" in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_are_printed_in_their_groups_with_their_values(lookalike):
    done = lookalike(
        "settings", env={"LOOKALIKE_MAX_PIXELS": "123", "LOOKALIKE_FETCH_HOSTS": "a.example, b.example"}
    )

    lines = done.stdout.splitlines()
    assert [line.removeprefix("# ") for line in lines if line.startswith("# ")] == [
        group.title() for group in SETTING_GROUPS.values()
    ]
    printed = dict(line.split("=", 1) for line in lines if "=" in line)
    assert printed.keys() == {f"LOOKALIKE_{name.upper()}" for name in SETTING_NAMES}
    assert printed["LOOKALIKE_MAX_PIXELS"] == "123"
    assert printed["LOOKALIKE_FETCH_HOSTS"] == "a.example,b.example"
    assert printed["LOOKALIKE_PICTURES_URL"] == ""


def test_printed_settings_mask_keys_and_passwords(lookalike):
    done = lookalike(
        "settings",
        env={
            "LOOKALIKE_DATABASE_URL": "postgresql://me:secret@db/pictures",
            "LOOKALIKE_BOOTSTRAP_ADMIN_KEY": "another-secret-of-some-length",
        },
    )

    assert "LOOKALIKE_DATABASE_URL=postgresql://me:***@db/pictures\n" in done.stdout
    assert "secret" not in done.stdout + done.stderr
