"""Each kind of failure has its documented exit code and one line; none is a traceback."""

from typing import NoReturn

import pytest

from app.cli.terminal.exit_codes import ExitCode, explain
from app.cli.terminal.queries import PictureNotRead
from app.domain import errors
from app.settings import Misconfigured
from lookalike_client import FieldProblem, KeyRefused, NoAnswer, NotFound, Problem, RequestRefused, TooBusy
from tools.commands import PAGE


def refused(kind, status: int, **more):
    return kind("no", code="some_code", problem=Problem(status=status, detail="no", code="some_code", **more))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Misconfigured("port", "http", "name a number"), ExitCode.USAGE),
        (errors.ForeignDatabase("foreign"), ExitCode.USAGE),
        (errors.SchemaTooNew("new"), ExitCode.USAGE),
        (errors.UnknownModel("lite9"), ExitCode.USAGE),
        (errors.DatabaseUnavailable("down", retry_after_s=1), ExitCode.UNAVAILABLE),
        (errors.StorageFull("full"), ExitCode.UNAVAILABLE),
        (NoAnswer("no answer", code="no_answer"), ExitCode.UNAVAILABLE),
        (refused(TooBusy, 503), ExitCode.UNAVAILABLE),
        (refused(TooBusy, 429), ExitCode.UNAVAILABLE),
        (refused(KeyRefused, 401), ExitCode.REFUSED),
        (refused(NotFound, 404), ExitCode.REFUSED),
        (errors.UnknownKey("none"), ExitCode.REFUSED),
        (PictureNotRead("none"), ExitCode.REFUSED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_expected_error_is_one_line_with_its_code(error, code):
    sentence, found = explain(error)
    assert found == code
    assert "\n" not in sentence
    assert sentence


def test_a_refusal_names_the_parts_of_the_request():
    parts = (FieldProblem(pointer="/filter", detail="is not an object"),)
    sentence, _ = explain(refused(RequestRefused, 422, errors=parts))
    assert sentence == "no (some_code) /filter: is not an object"


def test_an_answer_of_a_service_cannot_control_the_terminal(run, monkeypatch):
    def refuse(*_: object, **__: object) -> NoReturn:
        raise NoAnswer("\x1b[31mred\nlookalike: all is well \ud800", code="some_code")

    monkeypatch.setattr("app.cli.main.app", refuse)
    assert run(status=3).stderr == "lookalike: \\x1b[31mred\\nlookalike: all is well \\ud800 (some_code)\n"


def test_a_defect_is_not_explained():
    assert explain(ZeroDivisionError()) is None


def test_every_exit_code_is_documented():
    assert [code for code in ExitCode if f"| {code:d} | " not in PAGE.read_text()] == []


@pytest.mark.parametrize(
    ("env", "status", "parts"),
    [
        ({"LOOKALIKE_LOG_LEVEL": "loud"}, 2, ["LOOKALIKE_LOG_LEVEL=loud", "'info'"]),
        ({"LOOKALIKE_DEFAULT_MODEL": "lite9"}, 2, ["LOOKALIKE_DEFAULT_MODEL=lite9", "name a shipped model"]),
        ({"LOOKALIKE_DATA_DIR": "/proc/none"}, 2, ["LOOKALIKE_DATA_DIR=/proc/none", "name another"]),
        ({"LOOKALIKE_DATABASE_URL": "no address"}, 2, ["LOOKALIKE_DATABASE_URL=no address", "sqlite:///FILE"]),
        ({"LOOKALIKE_DATABASE_URL": "postgresql://me@127.0.0.1:1/x"}, 3, ["start the database"]),
        ({"LOOKALIKE_URL": "http://127.0.0.1:9"}, 3, ["does not answer"]),
        ({"LOOKALIKE_URL": "localhost:9"}, 2, ["write http://HOST:PORT"]),
    ],
)
def test_a_misconfiguration_is_one_line_with_setting_value_and_remedy(run, monkeypatch, env, status, parts):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    said = " ".join(run("info", status=status).stderr.replace("│", " ").split())
    assert [part for part in parts if part not in said] == []


def test_an_early_version_s_folder_in_the_working_directory_stays_in_use_and_is_told_of(
    tmp_path, monkeypatch, capsys
):
    from app.cli.terminal.settings import read_settings
    from app.settings import locations

    home, early = tmp_path / "home", tmp_path / "work" / "data"
    early.mkdir(parents=True)
    monkeypatch.setattr(locations, "_data_dir", lambda: home)
    monkeypatch.delenv("LOOKALIKE_DATA_DIR", raising=False)
    monkeypatch.chdir(early.parent)
    assert read_settings().storage.data_dir == home
    (early / "lookalike.db").touch()
    assert read_settings().storage.data_dir == early
    assert f"LOOKALIKE_DATA_DIR={early}" in capsys.readouterr().err
    home.mkdir()
    (home / "lookalike.db").touch()
    assert read_settings().storage.data_dir == home
    assert "which is not used" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert read_settings().storage.data_dir == home
    assert capsys.readouterr().err == ""
