"""Misconfiguration is one line with setting, value and remedy; names that are no settings are noticed."""

import os
import socket
import sqlite3
import subprocess
from contextlib import closing

import pytest

from app.bootstrap import make_folders
from app.cli.terminal.settings import misspelt
from app.settings import SETTING_NAMES, Misconfigured, Settings
from tests.fixtures.forked import run_command


def lookalike(tmp_path, *arguments: str, **env: str) -> subprocess.CompletedProcess:
    """A run of the command with settings of the test's own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LOOKALIKE_")}
    return run_command(*arguments, env={**kept, "LOOKALIKE_DATA_DIR": str(tmp_path / "data"), **env})


def assert_one_line(done: subprocess.CompletedProcess, *parts: str) -> None:
    """The last line tells, nothing is a traceback, and the status is not that of success."""
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert [part for part in ("lookalike: ", *parts) if part not in last] == []


@pytest.mark.parametrize(
    ("env", "parts"),
    [
        ({"LOOKALIKE_LOG_LEVEL": "loud"}, ["LOOKALIKE_LOG_LEVEL=loud", "'info'"]),
        ({"LOOKALIKE_PORT": "http"}, ["LOOKALIKE_PORT=http", "integer"]),
        (
            {"LOOKALIKE_DATABASE_URL": "mysql://me:secret@host/x"},
            ["LOOKALIKE_DATABASE_URL=mysql://me:***@host/x", "sqlite:///FILE"],
        ),
        ({"LOOKALIKE_DATABASE_URL": "no address"}, ["LOOKALIKE_DATABASE_URL=no address", "sqlite:///FILE"]),
        ({"LOOKALIKE_IMPORT_PREFIXES": "s3://"}, ["LOOKALIKE_IMPORT_PREFIXES=s3://", "a bucket"]),
        ({"LOOKALIKE_PICTURES_URL": "ftp://host"}, ["LOOKALIKE_PICTURES_URL=ftp://host", "s3://"]),
        (
            {"LOOKALIKE_DATABASE_URL": "postgresql://me@127.0.0.1:1/x"},
            ["LOOKALIKE_DATABASE_URL=postgresql://me@127.0.0.1:1/x: ", "did not respond", "start the database"],
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_remedy(tmp_path, env, parts):
    done = lookalike(tmp_path, "keys", "list", **env)

    assert_one_line(done, *parts)
    assert "secret" not in done.stderr


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("what is this?")

    done = lookalike(tmp_path, "keys", "list", LOOKALIKE_DATABASE_URL=f"sqlite:///{tmp_path}/notes.txt")

    assert_one_line(done, "notes.txt", "not an SQLite database")
    assert (tmp_path / "notes.txt").read_text() == "what is this?"


def test_a_database_of_another_application_is_left_alone(tmp_path):
    file = tmp_path / "other.db"
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE images (x)")

    done = lookalike(tmp_path, "keys", "list", LOOKALIKE_DATABASE_URL=f"sqlite:///{file}")

    assert_one_line(done, f"LOOKALIKE_DATABASE_URL=sqlite:///{file}: ", "another application", "images")
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("images",)]


def test_a_missing_database_folder_is_named(tmp_path):
    done = lookalike(tmp_path, "keys", "list", LOOKALIKE_DATABASE_URL=f"sqlite:///{tmp_path}/no/x.db")

    assert_one_line(done, f"LOOKALIKE_DATABASE_URL=sqlite:///{tmp_path}/no/x.db: ", "cannot be opened")


@pytest.mark.parametrize(
    ("setting", "value", "remedy"),
    [
        ("data_dir", "{file}/data", "name another"),
        ("pictures_url", "file://{file}/pictures", "name another"),
        ("snapshots_dir", "{file}/snapshots", "name another"),
        ("artifacts_dir", "{file}", "name one that exists"),
        ("migrations_dir", "{file}", "name one that exists"),
        ("import_root", "{file}", "name one that exists"),
    ],
)
def test_a_folder_that_cannot_be_used_is_named_with_its_setting(tmp_path, setting, value, remedy):
    (tmp_path / "file").write_text("not a folder")
    place = value.format(file=tmp_path / "file")

    with pytest.raises(Misconfigured, match=rf"^LOOKALIKE_{setting.upper()}={place}: .*{remedy}"):
        make_folders(Settings(**{"data_dir": tmp_path / "data", setting: place}))


def test_an_address_that_others_can_reach_needs_a_key(tmp_path):
    done = lookalike(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0")

    assert_one_line(done, "LOOKALIKE_HOST=0.0.0.0: ", "lookalike keys create")


def test_a_store_without_a_bucket_is_named(tmp_path):
    done = lookalike(tmp_path, "serve", "--port", "0", LOOKALIKE_PICTURES_URL="s3://")

    assert_one_line(done, "LOOKALIKE_PICTURES_URL=s3://: ", "name a bucket")


def test_a_taken_port_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = lookalike(tmp_path, "serve", "--port", str(port))

    assert_one_line(done, f"LOOKALIKE_PORT={port}", "free port")


def test_a_host_that_is_not_here_is_named(tmp_path):
    done = lookalike(tmp_path, "serve", "--host", "192.0.2.1", "--insecure", "--port", "0")

    assert_one_line(done, "LOOKALIKE_HOST=192.0.2.1", "not an address of this machine")


def test_an_unknown_model_ends_the_start_in_one_line(tmp_path):
    done = lookalike(tmp_path, "serve", "--port", "0", LOOKALIKE_DEFAULT_MODEL="lite9")

    assert_one_line(done, "LOOKALIKE_DEFAULT_MODEL=lite9: ", "name a shipped model")


def test_a_key_file_that_is_not_there_is_named(tmp_path):
    done = lookalike(
        tmp_path, "serve", "--port", "0", LOOKALIKE_BOOTSTRAP_ADMIN_KEY_FILE=str(tmp_path / "none")
    )

    assert_one_line(done, "LOOKALIKE_BOOTSTRAP_ADMIN_KEY_FILE", "cannot be read")


def test_a_misspelt_setting_is_warned_of_with_the_nearest_name(tmp_path):
    done = lookalike(tmp_path, "keys", "list", LOOKALIKE_MAX_UPLOAD_BYTE="5")

    assert done.returncode == 0
    assert "LOOKALIKE_MAX_UPLOAD_BYTE " in done.stderr
    assert "nearest=LOOKALIKE_MAX_UPLOAD_BYTES" in done.stderr


def test_names_that_are_settings_or_belong_to_something_else_are_not_warned_of():
    environment = dict.fromkeys(
        ["LOOKALIKE_PORT", "lookalike_data_dir", "LOOKALIKE_KEY", "LOOKALIKE_TEST_DATA_DIR", "PATH"], ""
    )

    assert misspelt(environment, SETTING_NAMES) == []
