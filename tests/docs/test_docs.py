"""The documentation tells the truth: every setting, command, event and metric is in it."""

import json
import re
from pathlib import Path

import pytest
import typer

from app.cli.main import app
from app.samples import samples
from app.settings import SETTING_GROUPS, SETTING_NAMES

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("group", SETTING_GROUPS)
def test_every_setting_is_documented_in_its_group(group):
    _, _, section = OPERATIONS.partition(f"\n### {SETTING_GROUPS[group].title()}\n")
    table, _, _ = section.partition("\n#")

    documented = re.findall(r"^\| `LOOKALIKE_(\w+)`", table, re.MULTILINE)
    assert documented == [name.upper() for name in SETTING_GROUPS[group].model_fields]


def test_no_setting_is_documented_that_does_not_exist():
    documented = set(re.findall(r"`LOOKALIKE_(\w+)`", OPERATIONS))

    assert documented <= {name.upper() for name in SETTING_NAMES}


def test_every_log_event_is_documented():
    logged = set()
    for path in (ROOT / "app").rglob("*.py"):
        logged |= set(re.findall(r'_log\.(?:info|warning|error|exception)\(\s*"(\w+)"', path.read_text()))

    assert {event for event in logged if f"`{event}`" not in OPERATIONS} == set()


def test_every_command_is_documented():
    group = typer.main.get_command(app)
    documented = README + OPERATIONS + (ROOT / "docs" / "commands.md").read_text()

    def commands(command, prefix):
        for name, child in getattr(command, "commands", {}).items():
            yield f"{prefix} {name}", child
            yield from commands(child, f"{prefix} {name}")

    missing = [
        name
        for name, child in commands(group, "lookalike")
        if not hasattr(child, "commands") and name not in documented
    ]
    assert missing == []


def test_pictures_in_examples_are_in_the_sample_gallery():
    shipped = {sample.image_id for sample in samples()}
    asked = re.findall(r'"queries": \[([^]]+)\]', (ROOT / "docs" / "models.md").read_text())

    assert asked
    assert {name for names in asked for name in json.loads(f"[{names}]")} <= shipped


def test_every_upload_by_curl_is_a_post():
    """``curl -T`` sends PUT, which no import answers."""
    lines = [line for path in (ROOT / "docs").glob("*.md") for line in path.read_text().splitlines()]
    uploads = [line for line in [*lines, *README.splitlines()] if line.startswith("curl") and " -T " in line]

    assert [line for line in uploads if "-X POST" not in line] == []


def test_every_local_link_leads_somewhere():
    broken = [
        f"{path.name}: {target}"
        for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text())
        if not (path.parent / target).exists()
    ]
    assert broken == []


def test_files_named_in_the_architecture_exist():
    text = (ROOT / "docs" / "architecture.md").read_text()
    files = [f"/{path.relative_to(ROOT)}" for path in (ROOT / "app").rglob("*.py")]
    named = re.findall(r"`([a-z_/]+\.py)`", text)

    assert named
    assert [name for name in named if not any(file.endswith(f"/{name}") for file in files)] == []
