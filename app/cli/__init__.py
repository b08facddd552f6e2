"""The `lookalike` command: one thin file for each group of commands."""
