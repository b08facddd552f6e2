"""``lookalike settings``: every setting by subject, with its value."""

import typer

from app.cli.settings import read_settings


def settings() -> None:
    """Print every setting by subject, with its value; keys and passwords are masked."""
    from app.settings import ENV_PREFIX, SETTING_GROUPS, displayed

    current = read_settings()
    for name, group in SETTING_GROUPS.items():
        typer.echo(f"# {group.title()}")
        for setting in group.model_fields:
            value = getattr(getattr(current, name), setting)
            typer.echo(f"{ENV_PREFIX}{setting.upper()}={'' if value is None else displayed(setting, value)}")
        typer.echo("")
