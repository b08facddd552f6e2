"""``lookalike settings``: every setting by subject, with its value."""

from typing import Any

import typer

from app.cli.terminal.output import JsonOption, print_json
from app.cli.terminal.settings import read_settings


def settings(*, as_json: JsonOption = False) -> None:
    """Print every setting by subject, with its value; keys and passwords are masked."""
    from app.settings import ENV_PREFIX, SETTING_GROUPS, displayed

    current = read_settings()
    values: dict[str, dict[str, Any]] = {
        group.title(): {
            f"{ENV_PREFIX}{setting.upper()}": None if value is None else displayed(setting, value)
            for setting in group.model_fields
            for value in [getattr(getattr(current, name), setting)]
        }
        for name, group in SETTING_GROUPS.items()
    }
    if as_json:
        print_json(values)
        return
    for title, group_values in values.items():
        typer.echo(f"# {title}")
        for variable, value in group_values.items():
            typer.echo(f"{variable}={'' if value is None else value}")
        typer.echo("")
