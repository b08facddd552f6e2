"""The curl commands of the documentation ask for what the service answers."""

import re
import shlex
from pathlib import Path

import pytest
from starlette.routing import Match

from app.api.app import create_app
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = [
    pytest.param(line.strip(), id=f"{page.name}:{number}")
    for page in PAGES
    for number, line in enumerate(page.read_text().splitlines(), 1)
    if line.strip().startswith("curl ")
]
_BODIES = {"-d", "--data", "--data-binary", "--json", "-F"}
_VALUED = _BODIES | {"-X", "-H", "-T", "-o", "--retry"}


def method_and_path(command: str) -> tuple[str, str]:
    """What curl would send."""
    method, address, words = None, None, iter(shlex.split(command, comments=True)[1:])
    implied = "GET"
    for word in words:
        value = next(words) if word in _VALUED else ""
        if word == "-X":
            method = value
        elif word == "-T":
            implied = "PUT"
        elif word in _BODIES:
            implied = "POST"
        elif word in {"-I", "--head"}:
            implied = "HEAD"
        elif not word.startswith("-"):
            address = word
    assert address is not None, command
    path = re.sub(r"^(?:https?://)?(?:(?:localhost|127\.0\.0\.1):8000|\$URL)", "", address).partition("?")[0]
    return method or implied, path


@pytest.mark.parametrize("command", COMMANDS)
def test_the_service_has_what_a_documented_command_asks_for(command, tmp_path):
    method, path = method_and_path(command)
    app = create_app(Settings(data_dir=tmp_path))
    scope = {"type": "http", "method": method.replace("HEAD", "GET"), "path": path, "headers": [], "app": app}

    assert any(route.matches(scope)[0] is Match.FULL for route in app.routes), (method, path)


def test_there_are_commands():
    assert len(COMMANDS) > 10
