"""Fixtures that every test may use."""

pytest_plugins = ["tests.fixtures.database", "tests.fixtures.server"]
