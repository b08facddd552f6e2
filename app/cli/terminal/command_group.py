"""The group that all commands are in."""

from typing import Any

from typer.core import TyperGroup, TyperOption


class CommandGroup(TyperGroup):
    """Group whose flags are false by default, not None.

    Typer imports Pydantic to convert None to a boolean, which takes a third of the time of a subcommand's help.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options of the group, its help option and those of completion included.

        Args:
            ctx: Context of the command line, which Typer does not give a public type here.
        """
        params = super().get_params(ctx)
        for param in params:
            if isinstance(param, TyperOption) and param.is_flag and param.default is None:
                param.default = False
        return params
