"""Base of the groups of settings, and the error for a value that the service cannot run with."""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ENV_PREFIX: Final = "LOOKALIKE_"
_SECRETS: Final = frozenset({"bootstrap_admin_key", "clickhouse_password"})
"""Settings whose values are never shown."""
_URLS: Final = frozenset({"database_url", "pictures_url", "clickhouse_url"})
"""Settings whose values may contain a password even if they are not written as URLs."""


class Misconfigured(Exception):
    """A setting that the service cannot run with: its name, its value and what to do."""

    def __init__(self, setting: str, value: object, remedy: str) -> None:
        """Explain in one line.

        Args:
            setting: The setting's field name.
            value: Its value; secrets in it are masked.
            remedy: What to do about it.
        """
        self.setting = setting
        self.value = displayed(setting, value)
        self.remedy = remedy
        super().__init__(f"{self.variable}={self.value}: {remedy}")

    @property
    def variable(self) -> str:
        """Name of the setting's environment variable."""
        return ENV_PREFIX + self.setting.upper()


class SettingsGroup(BaseSettings):
    """Settings on one subject, each read from ``LOOKALIKE_`` and its name; names include units."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_empty_paths(cls, value: object, info: ValidationInfo) -> object:
        # An empty path would be the working directory.
        name = info.field_name
        if value == "" and name is not None and cls.model_fields[name].annotation in {Path, Path | None}:
            raise ValueError("it is empty; name a path, or unset it for the default")
        return value

    @classmethod
    def title(cls) -> str:
        """Return what the settings are about, as a heading."""
        return (cls.__doc__ or "").removesuffix(".")

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """Read the group from the environment.

        Args:
            values: Settings by name, which take precedence over the environment.

        Raises:
            Misconfigured: A value is not valid.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            raise Misconfigured(str(first["loc"][0]), first["input"], _remedy(first["msg"])) from error


def _remedy(message: str) -> str:
    """Return what the library says about a value as a part of our sentence."""
    rule, _, _ = message.removeprefix("Value error, ").partition(", unable to ")
    return rule.replace("Input should be", "it must be", 1).replace("a valid boolean", "true or false")


def displayed(setting: str, value: object) -> str:
    """Return a setting's value as it may be shown: secrets and passwords are masked."""
    if setting in _SECRETS:
        return "***" if value else str(value)
    if isinstance(value, (list, tuple)):
        return ",".join(displayed(setting, one) for one in value)
    if value is not None and (setting in _URLS or "://" in str(value)):
        return _without_password(str(value))
    return str(value)


def _without_password(url: str) -> str:
    """Mask what may be a password, also in a URL that cannot be parsed."""
    scheme, separator, rest = url.rpartition("://") if url.count("://") == 1 else ("", "", url)
    userinfo, at, location = rest.rpartition("@")
    if at:
        user, colon, _ = userinfo.partition(":")
        rest = f"{user}:***@{location}" if colon else rest
    elif separator:
        rest = re.sub(r":(?!\d+(?:[/?]|$)).*", ":***", rest)
    shown = scheme + separator + rest
    path, question, _ = shown.partition("?")
    return f"{path}?***" if question else path


def _split(value: object) -> object:
    return [entry.strip() for entry in value.split(",") if entry.strip()] if isinstance(value, str) else value


CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(_split)]
"""A list whose environment variable separates entries by commas."""
