"""The files with which the service is deployed: images, compose, systemd units."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import compose_spec
import pytest
import yaml

from app.settings import SETTING_NAMES
from tests.fixtures.proxies import program

ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted((ROOT / "docs" / "examples").glob("*.service"))
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_dockerfile_has_no_known_mistake():
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [hadolint, "--no-color", "--failure-threshold", "warning", ROOT / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_compose_file_follows_the_compose_specification():
    compose_spec.PyCompose.from_json(json.dumps(COMPOSE)).validate()


def test_the_check_of_the_compose_file_finds_a_misspelt_key():
    wrong = json.loads(json.dumps(COMPOSE))
    wrong["services"]["api"]["portz"] = wrong["services"]["api"].pop("ports")

    with pytest.raises(ValueError, match="portz"):
        compose_spec.PyCompose.from_json(json.dumps(wrong)).validate()


def test_the_user_of_the_image_may_read_the_secret():
    (secret,) = COMPOSE["services"]["api"]["secrets"]
    (user,) = set(re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE))

    assert f"--uid {user} " in DOCKERFILE
    assert (secret["uid"], secret["mode"]) == (user, 0o400)
    # Not a file: compose mounts those with the owner and mode that they have on the host.
    assert COMPOSE["secrets"][secret["source"]].keys() == {"environment"}
    key_file = COMPOSE["services"]["api"]["environment"]["LOOKALIKE_BOOTSTRAP_ADMIN_KEY_FILE"]
    assert key_file == f"/run/secrets/{secret['source']}"


def test_compose_and_images_use_what_exists():
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))
    for service in COMPOSE["services"].values():
        assert service.get("build", {}).get("target") in stages | {None}
    named = set(re.findall(r"\bLOOKALIKE_([A-Z_]+)\b", DOCKERFILE + json.dumps(COMPOSE["services"])))
    assert named <= {name.upper() for name in SETTING_NAMES}
    # The store needs no extension of the database.
    assert re.fullmatch(r"postgres:\d+", COMPOSE["services"]["postgres"]["image"])


def test_the_image_has_every_package_of_the_wheel():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

    assert set(packages) <= set(re.findall(r"^COPY (\S+) \1$", DOCKERFILE, re.MULTILINE))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_a_unit(unit, tmp_path):
    installed = tmp_path / unit.name
    text = unit.read_text()
    assert text.count("/opt/lookalike/bin/lookalike ") == 1
    installed.write_text(text.replace("/opt/lookalike/bin/lookalike", "/bin/true"))

    done = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", installed],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_set_settings_that_exist(unit):
    named = re.findall(r"^Environment=LOOKALIKE_([A-Z_]+)=", unit.read_text(), re.MULTILINE)

    assert named
    assert set(named) <= {name.upper() for name in SETTING_NAMES}
