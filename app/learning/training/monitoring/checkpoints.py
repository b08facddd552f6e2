"""Checkpoints that survive kill -9: each is written to a temporary file, which then replaces the old one."""

import os
from pathlib import Path
from typing import Any

import torch


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint at ``path`` atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(".writing")
    with written.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    written.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Load tensors and plain values, never pickled code; None if there is no checkpoint at ``path``."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
