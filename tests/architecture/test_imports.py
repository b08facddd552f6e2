"""What the import contracts cannot see: what a fresh process really loads."""

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
OF_TYPER = {"pydantic"}
"""With these, Typer parses the options that may stand before a subcommand's name."""


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


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("serve", "--help"),
        ("index", "-h"),
        ("models", "--help"),
        ("models", "list", "-h"),
        ("train", "-h"),
    ],
    ids=" ".join,
)
def test_help_and_version_load_nothing_heavy(arguments):
    assert loaded_by_the_command(*arguments) <= (OF_TYPER if arguments[0].isalpha() else set())


@pytest.mark.parametrize("words", ["lookalike se", "lookalike models re", "lookalike serve --h"])
def test_completion_loads_nothing_heavy(words):
    env = {
        "_LOOKALIKE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }

    assert loaded_by_the_command(env=env) <= OF_TYPER
