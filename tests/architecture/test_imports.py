"""What the import contracts cannot see: what a fresh process really loads."""

import json
import os
import subprocess
import sys

import pytest


def test_a_process_that_serves_loads_no_torch_and_alembic_only_to_migrate():
    modules = "app.api.app, app.bootstrap, app.worker, lookalike_client, app.cli.main"
    code = f"import sys, {modules}; print(*{{m.split('.')[0] for m in sys.modules}})"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert set(loaded.stdout.split()) & {"torch", "torchvision", "alembic"} == set()
    assert "fastapi" in loaded.stdout.split()


def test_the_client_loads_nothing_of_the_service():
    code = "import sys, lookalike_client; print(sorted(m for m in sys.modules if m.split('.')[0] == 'app'))"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "[]"


HEAVY = (
    "anyio",
    "asyncio",
    "fastapi",
    "httpx2",
    "numba",
    "numpy",
    "onnxruntime",
    "PIL",
    "pydantic",
    "sqlalchemy",
    "uvicorn",
)
"""What takes from a tenth of a second to seconds to import."""
EVERY_HELP = f"""
import contextlib, io, json, sys
from typer.main import get_command
from app.cli.main import app

heavy_of = {{}}

def print_help(command, names, option):
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        root.main([*names, option], prog_name="lookalike", standalone_mode=False)
    assert "Show this message and exit." in printed.getvalue(), names
    heavy_of[" ".join(names)] = sorted(sys.modules.keys() & set({HEAVY}))
    for name, child in getattr(command, "commands", {{}}).items():
        print_help(child, [*names, name], "-h" if option == "--help" else "--help")

root = get_command(app)
print_help(root, [], "--help")
print(json.dumps(heavy_of))
"""
"""Prints the help of every command and group, and which of ``HEAVY`` were loaded after each."""


def loaded_by_the_command(*arguments: str, env: dict[str, str] | None = None) -> set[str]:
    """Those of ``HEAVY`` that a run of ``lookalike`` loads, completion and help included."""
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('loaded', *sys.modules.keys() & set({HEAVY}), file=sys.stderr))\n"
        f"sys.argv = ['lookalike', *{arguments}]\n"
        "from app.cli.entry import main\n"
        "main()\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **(env or {})},
    )
    assert run.stdout.strip()
    return set(run.stderr.strip().splitlines()[-1].removeprefix("loaded").split())


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("models", "list", "-h")], ids=" ".join)
def test_help_and_version_load_nothing_heavy(arguments):
    assert loaded_by_the_command(*arguments) == set()


def test_help_of_every_command_loads_nothing_heavy():
    run = subprocess.run(
        [sys.executable, "-c", EVERY_HELP],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "200"},
    )

    heavy_of = json.loads(run.stdout)
    assert {"", "serve", "index", "models list", "jobs watch", "train", "research paper"} <= heavy_of.keys()
    assert {command: heavy for command, heavy in heavy_of.items() if heavy} == {}


@pytest.mark.parametrize(
    ("words", "of_typer"),
    [
        ("lookalike se", set()),
        ("lookalike models re", set()),
        # Typer parses the options of the command whose option it completes.
        ("lookalike serve --h", {"pydantic"}),
    ],
)
def test_completion_loads_nothing_heavy(words, of_typer):
    env = {
        "_LOOKALIKE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }

    assert loaded_by_the_command(env=env) <= of_typer
