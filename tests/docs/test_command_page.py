"""docs/commands.md is what the command's own help says."""

import pytest

from tools.commands import PAGE, commands, options_of, page

WITHOUT_JSON = {
    *("lookalike serve", "lookalike worker"),
    *("lookalike research paper", "lookalike research features"),
}
"""They run until they are stopped, write a report, or print JSON only."""


def test_the_page_has_every_command_with_its_options():
    assert page(PAGE.read_text()) == PAGE.read_text(), "run `make commands`"


@pytest.mark.parametrize(("name", "command"), [pytest.param(*entry, id=entry[0]) for entry in commands()])
def test_every_command_can_print_json_and_explains_its_options(name, command):
    options = options_of(command)

    assert name in WITHOUT_JSON or any("--json" in option.opts for option in options)
    assert [option.name for option in options if not option.help] == []
    assert command.help
