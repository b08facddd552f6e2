"""Settings of the service, grouped by subject; only entry points read them from the environment."""

from pathlib import Path
from typing import Any, Final, Self, get_type_hints

from app.settings.access import AccessSettings
from app.settings.base import ENV_PREFIX, Misconfigured, SettingsGroup, displayed
from app.settings.database import DatabaseSettings
from app.settings.decoding import DecodingSettings
from app.settings.engine import EngineSettings
from app.settings.imports import ImportsSettings
from app.settings.jobs import JobsSettings
from app.settings.limits import LimitsSettings
from app.settings.locations import DATABASE
from app.settings.models import ModelsSettings
from app.settings.search import SearchSettings
from app.settings.server import ServerSettings
from app.settings.storage import StorageSettings
from app.settings.telemetry import TelemetrySettings

__all__ = ["ENV_PREFIX", "SETTING_GROUPS", "SETTING_NAMES", "Misconfigured", "Settings", "displayed"]


class Settings:
    """Settings of one process; each group is immutable.

    The name of an environment variable does not contain the group: ``settings.limits.max_upload_bytes`` is
    ``LOOKALIKE_MAX_UPLOAD_BYTES``.
    """

    server: ServerSettings
    access: AccessSettings
    storage: StorageSettings
    database: DatabaseSettings
    models: ModelsSettings
    search: SearchSettings
    engine: EngineSettings
    limits: LimitsSettings
    decoding: DecodingSettings
    imports: ImportsSettings
    jobs: JobsSettings
    telemetry: TelemetrySettings

    def __init__(self, **values: Any) -> None:
        """Read the settings from the environment.

        Args:
            **values: Settings by name, without their group, which take precedence over the environment.

        Raises:
            Misconfigured: A value is not valid.
            TypeError: A name is not a setting.
        """
        unknown = values.keys() - SETTING_NAMES
        if unknown:
            raise TypeError(f"not settings: {', '.join(sorted(unknown))}")
        for group, settings in SETTING_GROUPS.items():
            given = {name: value for name, value in values.items() if name in settings.model_fields}
            setattr(self, group, settings.read(given))

    def replace(self, **values: Any) -> Self:
        """Return the settings with other values for some names.

        Raises:
            Misconfigured: A value is not valid.
            TypeError: A name is not a setting.
        """
        return type(self)(**{**self.as_values(), **values})

    def as_values(self) -> dict[str, Any]:
        """Return every setting by name, without its group."""
        return {
            name: getattr(getattr(self, group), name)
            for group, settings in SETTING_GROUPS.items()
            for name in settings.model_fields
        }

    @property
    def resolved_database_url(self) -> str:
        """URL of the database, with the default filled in."""
        default = self.storage.data_dir.absolute() / DATABASE
        return self.database.database_url or f"sqlite+aiosqlite:///{default}"

    @property
    def resolved_snapshots_dir(self) -> Path:
        """Folder of the index snapshots, with the default filled in."""
        return self.search.snapshots_dir or self.storage.data_dir / "snapshots"


SETTING_GROUPS: Final[dict[str, type[SettingsGroup]]] = get_type_hints(Settings)
"""The class of each group, in the order of the documentation."""
SETTING_NAMES: Final = frozenset(name for group in SETTING_GROUPS.values() for name in group.model_fields)
"""Names of all settings, without their groups."""
