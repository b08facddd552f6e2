"""Checkpoints that survive kill -9: written whole beside the old one, then renamed over it."""

import os
from pathlib import Path
from typing import Any

import torch


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint at ``path``; at any instant either the old or the new one is there, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(".writing")
    with written.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    written.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The state at ``path``, or None if there is none; tensors and plain values only, never pickled code."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
