"""Tests do not depend on the settings of the shell that starts them."""

import json
import os
import subprocess
import sys

import pytest

from tests.fixtures.environment import ROOT

PRINT = "import json, os, tests.conftest; print(json.dumps(dict(os.environ)))"


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/no/such/folder", None),
        ("/no/such/folder" + os.pathsep + str(ROOT), str(ROOT)),
        (os.curdir, str(ROOT)),
        ("", None),
    ],
)
def test_settings_and_other_code_of_the_caller_are_left_out(path, kept):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOOKALIKE_")} | {
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "LOOKALIKE_URL": "http://127.0.0.1:9",
        "LOOKALIKE_DATA_DIR": "/no/such/folder",
        "lookalike_port": "9",
        "LOOKALIKE_SOAK": "",
        "LOOKALIKE_TEST_DATA_DIR": "/pictures",
    }

    done = subprocess.run(
        [sys.executable, "-c", PRINT], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    left = json.loads(done.stdout)
    settings = {name for name in left if name.upper().startswith("LOOKALIKE_")}
    assert settings == {"LOOKALIKE_SOAK", "LOOKALIKE_TEST_DATA_DIR"}
    assert left["LOOKALIKE_TEST_DATA_DIR"] == "/pictures"
    assert left.get("PYTHONPATH") == kept
    assert "PYTHONDONTWRITEBYTECODE" not in left
