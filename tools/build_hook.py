"""Put what lies beside the package in a checkout into the wheel; an editable install uses the checkout's."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BesideThePackage(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the migrations and the model artifacts, where ``app/settings/locations.py`` looks for them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the folders to copy.

        Args:
            version: ``standard`` or ``editable``.
            build_data: What the builder copies, changed in place.
        """
        if version == "standard":
            for folder in ("migrations", "model_artifacts"):
                build_data["force_include"][str(Path(self.root) / folder)] = f"app/_data/{folder}"
