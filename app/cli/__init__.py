"""The `lookalike` command: one folder for each kind of task, and what all commands share in `terminal`."""
