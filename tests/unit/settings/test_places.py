"""Where data, models and migrations are, whichever folder a command is run in, and how a database is named."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.store.engine import describe_url

ROOT = Path(__file__).resolve().parents[3]


def places(python_path: Path, cwd: Path, home: Path) -> list[Path]:
    """The data folder, the artifacts folder and the migrations folder of a fresh process."""
    code = (
        "from app.settings import Settings as S; s = S()\n"
        "print(s.storage.data_dir, s.models.artifacts_dir, s.database.migrations_dir)"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LOOKALIKE_", "XDG_"))}
    run = subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(python_path), "HOME": str(home)},
    )
    return [Path(word) for word in run.stdout.split()]


def test_a_checkout_keeps_its_data_beside_the_project_wherever_one_stands(tmp_path):
    assert places(ROOT, tmp_path, tmp_path) == [ROOT / "data", ROOT / "model_artifacts", ROOT / "migrations"]


def test_an_installed_package_keeps_its_data_in_the_users_folder_and_brings_what_it_needs(tmp_path):
    package = tmp_path / "site-packages" / "app"
    (package / "_data").mkdir(parents=True)
    (package / "__init__.py").write_bytes((ROOT / "app" / "__init__.py").read_bytes())
    shutil.copytree(ROOT / "app" / "settings", package / "settings")

    data, artifacts, migrations = places(package.parent, tmp_path, tmp_path / "home")

    assert data == tmp_path / "home" / ".local" / "share" / "lookalike"
    assert (artifacts, migrations) == (package / "_data" / "model_artifacts", package / "_data" / "migrations")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite+aiosqlite:////srv/a b/lookalike.db", "sqlite+aiosqlite:////srv/a b/lookalike.db"),
        ("postgresql+psycopg://me:secret@db/pictures", "postgresql+psycopg://me:***@db/pictures"),
        ("postgresql://me@db/pictures?password=secret&sslmode=require", "postgresql://me@db/pictures"),
    ],
)
def test_a_database_is_named_without_its_password(url, shown):
    assert describe_url(url) == shown
