"""The `lookalike` command: one thin file a command group."""
