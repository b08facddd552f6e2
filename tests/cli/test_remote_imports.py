"""A command that talks to a service imports the client, not what the service runs on."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cli.conftest import serving

HEAVY = ("numpy", "sqlalchemy", "psycopg", "aiosqlite", "fastapi", "onnxruntime", "PIL", "app.store", "app.api")
"""Packages that commands on a service do without."""
SETTINGS = "app.settings"
"""Only commands without the address of a service need it, to find the data folder."""
SCRIPT = """
import json, sys
from app.cli.main import main
status = 0
try:
    main(sys.argv[2:])
except SystemExit as ended:
    status = ended.code or 0
with open(sys.argv[1], "w") as file:
    json.dump({"status": status, "modules": list(sys.modules)}, file)
"""


@pytest.fixture
def imported(tmp_path: Path):
    """Runs a command in a process of its own and returns the modules that it imported."""

    def imported(*arguments: object) -> set[str]:
        report = tmp_path / "report.json"
        command = [sys.executable, "-c", SCRIPT, str(report), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        document = json.loads(report.read_text())
        assert document["status"] == 0, done.stdout + done.stderr
        return set(document["modules"])

    return imported


def test_commands_on_a_service_import_only_the_client(imported, picture, settings, tmp_path):
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(picture, "red/one.jpg")
        archive.write(picture, "red/two.jpg")
    with serving(settings) as url:
        for command in (("index", picture), ("index", packed), ("images", "list"), ("search", picture)):
            by_url = imported(*command, "--url", url)
            assert by_url & {*HEAVY, SETTINGS} == set(), command
            assert "lookalike_client" in by_url
            assert imported(*command) & set(HEAVY) == set(), command
