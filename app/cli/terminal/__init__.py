"""Code that all commands share: output, exit codes, settings, and the service or database that they talk to."""
