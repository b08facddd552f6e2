"""Write the tables of docs/commands.md from the command's own help.

``python -m tools.commands`` rewrites them; a test compares them with the command.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer

from app.cli.main import app
from app.cli.terminal.exit_codes import ExitCode

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "commands.md"
BEGIN: Final = "<!-- written by `make commands`; do not edit by hand -->"
END: Final = "<!-- end -->"
COMMON: Final = {"--help", "--json", "--url", "--key", "--collection"}
"""Options that the page explains once."""


def leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, with its full name."""
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for child_name, child in children.items():
        yield from leaves(child, f"{name} {child_name}")


def commands() -> list[tuple[str, Any]]:
    """Return every command with its full name, in the order of ``lookalike --help``."""
    return [entry for entry in leaves(typer.main.get_command(app), "lookalike") if not entry[1].hidden]


def options_of(command: Any) -> list[Any]:
    """Return the options of a command that are shown."""
    return [
        parameter
        for parameter in command.params
        if parameter.param_type_name == "option" and not parameter.hidden and "--help" not in parameter.opts
    ]


def table() -> str:
    """Return the table of commands: usage, what it does, and its options."""
    lines = ["| Command | What it does | Options |", "|---|---|---|"]
    for name, command in commands():
        arguments = "".join(f" {_usage(p)}" for p in command.params if p.param_type_name == "argument")
        options = [max(p.opts, key=len) for p in options_of(command) if not COMMON & set(p.opts)]
        help_text = re.sub(r"\s+", " ", command.help or "").strip()
        shown = ", ".join(f"`{option}`" for option in options)
        lines.append(f"| `{name}{arguments}` | {help_text.replace('|', chr(92) + '|')} | {shown} |")
    return "\n".join(lines)


def _usage(argument: Any) -> str:
    name = argument.name.upper() + ("…" if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def exit_codes() -> str:
    """Return the table of exit codes."""
    meanings = {
        ExitCode.OK: "done",
        ExitCode.ITEMS_FAILED: "some items failed, the job that was watched failed, or `doctor` found an error",
        ExitCode.USAGE: "the command line or a setting is wrong",
        ExitCode.UNAVAILABLE: "the service or the database does not answer, or cannot at present; try again",
        ExitCode.REFUSED: "refused, or what was named does not exist",
        ExitCode.INTERRUPTED: "Ctrl-C",
    }
    rows = [f"| {code:d} | {meanings[code]} |" for code in ExitCode]
    return "\n".join(["| Code | Meaning |", "|---|---|", *rows])


def page(text: str) -> str:
    """Return the text of the page with its generated parts renewed."""
    for part in (table(), exit_codes()):
        heading = part.partition("\n")[0]
        pattern = re.escape(f"{BEGIN}\n\n{heading}") + r".*?" + re.escape(END)
        renewed = f"{BEGIN}\n\n{part}\n\n{END}"
        text, count = re.subn(pattern, lambda _, renewed=renewed: renewed, text, flags=re.DOTALL)
        if count != 1:
            raise ValueError(f"{PAGE.name} has no part that begins with {heading}")
    return text


def main() -> None:
    """Rewrite the page."""
    PAGE.write_text(page(PAGE.read_text()))


if __name__ == "__main__":
    main()
