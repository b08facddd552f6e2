"""Models and encoding."""

from pathlib import Path

from pydantic import Field

from app.settings.base import SettingsGroup
from app.settings.locations import SHIPPED


class ModelsSettings(SettingsGroup):
    """Models and encoding."""

    artifacts_dir: Path = SHIPPED / "model_artifacts"
    """Folder of the shipped model artifacts."""
    default_model: str = "lite2-256"
    """Model of the default collection and of collections that name none."""
    encoder_threads: int = Field(default=1, ge=1)
    """Threads of one ONNX Runtime session."""
    max_batch: int = Field(default=16, ge=1)
    """Maximum number of waiting pictures that are encoded in one batch."""
    activation_timeout_s: float = Field(default=30.0, gt=0)
    """How long the activation of a model waits for other processes to load it, in seconds."""
