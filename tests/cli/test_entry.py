"""Ctrl-C while the program is still importing its command."""

import os
import subprocess
import sys

import pytest

from app.cli import entry

INTERRUPTED_AT = """
import os, signal, sys
from app.cli import entry

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv = ["lookalike", "info"]
entry.main()
"""


@pytest.mark.parametrize("module", ["typer", "app.cli.serving.serve"])
def test_an_interrupted_import_is_one_line_and_the_exit_code_of_shells(module):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT.format(module=module)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 130
    assert done.stderr == "lookalike: interrupted before the command began\n"


def test_an_interruption_before_typer_runs_the_command_is_one_line_too(monkeypatch, capfd):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("app.cli.main.main", interrupted)
    monkeypatch.setattr(os, "_exit", sys.exit)

    with pytest.raises(SystemExit) as ending:
        entry.main()

    assert ending.value.code == 130
    assert capfd.readouterr().err == "lookalike: interrupted before the command began\n"
