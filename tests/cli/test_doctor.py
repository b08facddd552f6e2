"""``lookalike doctor`` names each fault of a set-up with its remedy, and exits with 1 if there is any."""

import json
import shutil
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.cli.operations.checks import configuration, installation, machine
from app.cli.serving.ports import check_address, listener_on
from app.cli.terminal.service_record import FOLDER
from app.settings import Misconfigured, Settings
from tests.cli.conftest import serving


@pytest.fixture(autouse=True)
def _no_kernels(monkeypatch):
    """Compiling the kernels again takes a minute of a processor; one test of its own does it from the cache."""
    monkeypatch.setattr(installation, "check_kernels", lambda: iter(()))


@pytest.fixture
def _no_decoding(monkeypatch):
    monkeypatch.setattr(installation, "check_decoding", lambda _: iter(()))


def findings(done) -> dict[str, list[dict]]:
    """The findings that are not ok, by check; each has a remedy."""
    found: dict[str, list[dict]] = {}
    for finding in done.document["findings"]:
        if finding["status"] == "ok":
            assert finding["remedy"] is None
        else:
            assert finding["remedy"]
            found.setdefault(finding["check"], []).append(finding)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as trial:
        return trial.getsockname()[1]


@pytest.fixture(autouse=True)
def _port(monkeypatch):
    monkeypatch.setenv("LOOKALIKE_PORT", str(free_port()))


def test_a_sound_set_up_is_well_and_nothing_is_made(run, tmp_path, monkeypatch):
    monkeypatch.setenv("LOOKALIKE_DATA_DIR", str(tmp_path / "new" / "data"))
    done = run("doctor")
    assert done.stdout.splitlines()[-1] == "all is well"
    for check in (
        "version",
        "settings",
        "folders",
        "database",
        "models",
        "decoding",
        "memory",
        "clock",
        "port",
    ):
        assert f" {check} " in done.stdout
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("_no_decoding")
@pytest.mark.parametrize(
    ("env", "check", "status", "parts"),
    [
        ({"LOOKALIKE_LOG_LEVEL": "loud"}, "settings", 1, ["LOOKALIKE_LOG_LEVEL=loud"]),
        ({"LOOKALIKE_MAX_PIXEL": "5"}, "settings", 0, ["LOOKALIKE_MAX_PIXEL", "LOOKALIKE_MAX_PIXELS?"]),
        ({"LOOKALIKE_BOOTSTRAP_ADMIN_KEY": "short"}, "settings", 1, ["***", "20 characters"]),
        ({"LOOKALIKE_DATA_DIR": "/proc/none"}, "folders", 1, ["/proc", "LOOKALIKE_DATA_DIR"]),
        ({"LOOKALIKE_DATABASE_URL": "mysql://me:secret@h/x"}, "database", 1, ["mysql://me:***@h/x"]),
        ({"LOOKALIKE_DATABASE_URL": "postgresql://me@127.0.0.1:1/x"}, "database", 1, ["start the database"]),
        ({"LOOKALIKE_DEFAULT_MODEL": "lite9"}, "models", 0, ["lite9", "lite2-256"]),
        ({"LOOKALIKE_ARTIFACTS_DIR": "/none"}, "folders", 1, ["/none"]),
        ({"LOOKALIKE_HOST": "192.0.2.1", "LOOKALIKE_INSECURE": "1"}, "port", 1, ["192.0.2.1"]),
        ({"LOOKALIKE_HOST": "0.0.0.0"}, "access", 1, ["lookalike keys create"]),
    ],
)
def test_each_fault_is_named_with_its_remedy(run, monkeypatch, env, check, status, parts):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    found = findings(run("doctor", "--json", status=status))
    text = json.dumps(found[check])
    assert [part for part in parts if part not in text] == []
    assert "secret" not in text


@pytest.mark.usefixtures("_no_decoding")
def test_several_invalid_settings_are_all_named(run, monkeypatch):
    monkeypatch.setenv("LOOKALIKE_LOG_LEVEL", "loud")
    monkeypatch.setenv("LOOKALIKE_MAX_BATCH", "many")
    found = findings(run("doctor", "--json", status=1))
    assert [f["detail"] for f in found["settings"]] == ["LOOKALIKE_MAX_BATCH=many", "LOOKALIKE_LOG_LEVEL=loud"]


@pytest.mark.usefixtures("_no_decoding")
def test_a_database_of_another_application_or_another_schema_is_named(run, tmp_path, data_dir, monkeypatch):
    with closing(sqlite3.connect(data_dir / "lookalike.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = 'from the future'")
        database.commit()
    assert "upgrade Lookalike" in findings(run("doctor", "--json", status=1))["database"][0]["remedy"]
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE images (x)")
    monkeypatch.setenv("LOOKALIKE_DATABASE_URL", f"sqlite:///{tmp_path}/other.db")
    assert "another application" in findings(run("doctor", "--json", status=1))["database"][0]["detail"]
    (tmp_path / "notes.txt").write_text("no database")
    monkeypatch.setenv("LOOKALIKE_DATABASE_URL", f"sqlite:///{tmp_path}/notes.txt")
    assert "not an SQLite database" in findings(run("doctor", "--json", status=1))["database"][0]["remedy"]


@pytest.mark.usefixtures("_no_decoding")
@pytest.mark.parametrize("name", ["a file", "an unwritable folder"])
def test_a_fault_of_the_data_folder_is_named_once(run, tmp_path, monkeypatch, name):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LOOKALIKE_DATA_DIR", str(tmp_path / "file") if name == "a file" else "/proc/none")
    (finding,) = findings(run("doctor", "--json", status=1))["folders"]
    assert "LOOKALIKE_DATA_DIR" in finding["remedy"]


@pytest.mark.usefixtures("_no_decoding")
def test_data_in_the_working_directory_is_no_surprise_if_it_is_named(run, data_dir, monkeypatch):
    monkeypatch.chdir(data_dir.parent)
    done = run("doctor")
    assert done.stdout.splitlines()[-1] == "all is well"


@pytest.mark.usefixtures("_no_decoding")
def test_an_open_address_needs_a_key_before_there_is_a_database(run, tmp_path, monkeypatch):
    monkeypatch.setenv("LOOKALIKE_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("LOOKALIKE_HOST", "0.0.0.0")
    done = run("doctor", "--json", status=1)
    assert [finding["status"] for finding in findings(done)["access"]] == ["error"]
    assert not (tmp_path / "none").exists()
    monkeypatch.setenv("LOOKALIKE_DATABASE_URL", "no address")
    assert "access" not in findings(run("doctor", "--json", status=1))


def test_a_damaged_model_is_named(tmp_path, settings):
    artifacts = tmp_path / "artifacts"
    shutil.copytree(settings.models.artifacts_dir / "paper-32", artifacts / "paper-32")
    (artifacts / "paper-32" / "canary.npy").write_bytes(b"damaged")
    (error,) = installation.check_models(Settings(artifacts_dir=artifacts, default_model="paper-32"))
    assert (error.status, "canary.npy" in error.detail, bool(error.remedy)) == ("error", True, True)


def test_a_taken_port_is_named_with_the_process_that_has_it(run, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("LOOKALIKE_PORT", str(port))
        (finding,) = findings(run("doctor", "--json", status=1))["port"]
        assert "listens there" in finding["remedy"]
        assert "pid" in (listener_on(port) or "")
        with pytest.raises(Misconfigured, match="listens there"):
            check_address("127.0.0.1", port)
    assert listener_on(port) is None


@pytest.mark.usefixtures("_no_decoding")
def test_a_running_service_and_a_stale_record_are_named(run, data_dir, settings):
    (data_dir / FOLDER).mkdir()
    (data_dir / FOLDER / "left.json").write_text("{}")
    with serving(settings, record=False):
        assert "left by a service that was killed" in run("doctor").stdout
    with serving(settings) as url:
        done = run("doctor", "--json")
        assert any(url in f["detail"] and "answers" in f["detail"] for f in done.document["findings"])
        assert "service" not in findings(done)


def test_a_service_elsewhere_is_looked_at_by_its_address(run, settings):
    with serving(settings) as url:
        assert f"{url} answers" in run("doctor", "--url", url).stdout
    (finding,) = findings(run("doctor", "--url", url, "--json", status=1))["service"]
    assert "LOOKALIKE_URL" in finding["remedy"]


def test_little_space_is_an_error_and_a_clock_before_the_installation_too(monkeypatch, settings):
    usage = shutil.disk_usage(settings.storage.data_dir)
    monkeypatch.setattr(configuration.shutil, "disk_usage", lambda _: usage._replace(free=100_000_000))
    assert {finding.status for finding in configuration.check_folders(settings)} == {"error"}
    monkeypatch.setattr(machine.time, "time", lambda: 0.0)
    (finding,) = machine.check_clock()
    assert finding.status == "error"


@pytest.mark.usefixtures("_no_decoding")
def test_an_index_engine_that_does_not_answer_is_an_error_without_its_password(run, monkeypatch):
    monkeypatch.setenv("LOOKALIKE_CLICKHOUSE_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("LOOKALIKE_CLICKHOUSE_PASSWORD", "hunter2")
    done = run("doctor", "--json", status=1)
    [finding] = findings(done)["engine"]
    assert finding["status"] == "error"
    assert "LOOKALIKE_CLICKHOUSE_URL" in finding["remedy"]
    assert "hunter2" not in done.stdout + done.stderr
    assert not done.stderr  # nothing of the client that retried


@pytest.mark.parametrize(
    ("mode", "status"), [(0o600, "ok"), (0o640, "ok"), (0o644, "warning"), (0o660, "warning")]
)
def test_a_password_that_others_may_read_is_a_warning(tmp_path, settings, mode, status):
    file = tmp_path / "password"
    file.write_text("hunter2")
    file.chmod(mode)
    [finding] = configuration.check_secret_files(settings.replace(clickhouse_password_file=file))
    assert (finding.status, finding.check) == (status, "secrets")
    assert "hunter2" not in finding.detail
    [finding] = configuration.check_secret_files(settings.replace(bootstrap_admin_key_file=file))
    assert finding.status == status


def test_a_secret_file_that_cannot_be_examined_is_left_to_the_check_that_reads_it(settings, monkeypatch):
    def refused(_self, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refused)

    given = settings.replace(clickhouse_password_file=Path("/closed/secret"))
    assert list(configuration.check_secret_files(given)) == []
