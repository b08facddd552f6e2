"""Model artifacts on disk: verify one or refuse it by name, write one whole.

An artifact is a folder that bears its model's name:

- ``model.json``: what this module's ``ArtifactManifest`` holds, in canonical form;
- ``encoder.onnx``: uint8 (n, S, S, 3) to y (n, bits) float32, and optionally a descriptor (n, m) int8. Siblings
  share one file: ``../<name>/encoder.onnx``, each naming its own output;
- ``weights.safetensors``: what was trained here (pretrained weights are named by package and sha256);
- ``canary.png`` and ``canary.npy``: a picture and its y, which an encoder must reproduce before it serves.
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from app.domain.errors import ArtifactRefused, InvalidId
from app.domain.ids import parse_name
from app.encoding.manifest import ENCODER, ArtifactManifest
from app.encoding.preprocess import Preprocessing

MANIFEST: Final = "model.json"
WEIGHTS: Final = "weights.safetensors"
CANARY_PICTURE: Final = "canary.png"
CANARY_Y: Final = "canary.npy"
OWN_FILES: Final = (WEIGHTS, CANARY_PICTURE, CANARY_Y)
MAX_MANIFEST_BYTES: Final = 1_000_000

_SHARED_ENCODER: Final = re.compile(r"\.\./([^/]+)/encoder\.onnx")


@dataclass(frozen=True, slots=True)
class Canary:
    """A picture whose y is known."""

    pixels: NDArray[np.uint8]
    """A decoded picture, shape (H, W, 3), uint8: it takes the whole path, scaling included."""
    y: NDArray[np.float32]
    """Shape (bits,), float32, as the machine that built the artifact computed it."""
    margin: float
    """Bits whose \\|y\\| is at most this may differ on another machine."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A verified artifact: every file is the one that the manifest names."""

    folder: Path
    manifest: ArtifactManifest
    encoder_path: Path
    canary: Canary

    @property
    def name(self) -> str:
        """The model's name, which is also the folder's."""
        return self.manifest.name

    @property
    def bits(self) -> int:
        """Code length."""
        return self.manifest.bits

    @property
    def digest(self) -> str:
        """The model's identity; codes of equal digests may be compared."""
        return self.manifest.digest

    @property
    def preprocessing(self) -> Preprocessing:
        """How pictures are scaled for this model."""
        return self.manifest.preprocessing.preprocessing()


def load_artifact(folder: Path) -> Artifact:
    """Verify an artifact and describe it; ``OnnxEncoder`` then checks what it computes.

    Args:
        folder: ``model_artifacts/<name>``.

    Raises:
        ArtifactRefused: A file is missing or altered, or model.json is not valid. The detail names the artifact
            and the file.
    """
    return _verify(folder, siblings=folder.parent)


def artifact_files(folder: Path, manifest: ArtifactManifest) -> dict[str, Path]:
    """Where each file is that a verified manifest names, a sibling's encoder included.

    Args:
        folder: The artifact's folder.
        manifest: What ``read_manifest`` returned.
    """
    return _files(folder, manifest, folder.parent)


def _files(folder: Path, manifest: ArtifactManifest, siblings: Path) -> dict[str, Path]:
    paths = {name: folder / name for name in OWN_FILES}
    return paths | {manifest.encoder: _encoder_path(folder, manifest, siblings)}


def _verify(folder: Path, *, siblings: Path) -> Artifact:
    manifest = read_manifest(folder)
    for name, path in _files(folder, manifest, siblings).items():
        expected = manifest.files[name]
        if _file_sha256(path, folder.name) != expected:
            raise ArtifactRefused(f"artifact {folder.name}: {name} is not the file that model.json names")
    return Artifact(folder, manifest, _encoder_path(folder, manifest, siblings), _read_canary(folder, manifest))


def read_manifest(folder: Path) -> ArtifactManifest:
    """The manifest of an artifact, whole and unaltered; the other files are not looked at.

    Raises:
        ArtifactRefused: model.json is missing, altered, or another model's.
    """
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise ArtifactRefused(f"artifact {folder.name}: model.json is larger than a manifest can be")
        text = path.read_text(encoding="utf-8")
        manifest = ArtifactManifest.model_validate_json(text)
    except OSError as error:
        raise ArtifactRefused(f"artifact {folder.name}: model.json cannot be read") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(str(part) for part in first["loc"])
        raise ArtifactRefused(f"artifact {folder.name}: model.json: {where}: {first['msg']}") from error
    except ValueError as error:  # not UTF-8
        raise ArtifactRefused(f"artifact {folder.name}: model.json is not valid") from error
    if set(manifest.files) != {*OWN_FILES, manifest.encoder}:
        raise ArtifactRefused(f"artifact {folder.name}: model.json: files: not the files of an artifact")
    if manifest.sealed() != manifest or manifest.text() != text:
        raise ArtifactRefused(f"artifact {folder.name}: model.json was altered after it was written")
    if manifest.name != folder.name:
        raise ArtifactRefused(f"artifact {folder.name}: model.json names another model, {manifest.name}")
    return manifest


def _encoder_path(folder: Path, manifest: ArtifactManifest, siblings: Path) -> Path:
    if manifest.encoder == ENCODER:
        return folder / ENCODER
    shared = _SHARED_ENCODER.fullmatch(manifest.encoder)
    try:
        if shared is not None:
            return siblings / parse_name(shared[1]) / ENCODER
    except InvalidId:
        pass
    raise ArtifactRefused(f"artifact {folder.name}: model.json: encoder: neither own nor a sibling's file")


def _file_sha256(path: Path, artifact: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactRefused(f"artifact {artifact}: {path.name} cannot be read") from error


def _read_canary(folder: Path, manifest: ArtifactManifest) -> Canary:
    try:
        with Image.open(folder / CANARY_PICTURE, formats=["PNG"]) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        y = np.load(folder / CANARY_Y, allow_pickle=False)
    except (OSError, ValueError, SyntaxError) as error:
        raise ArtifactRefused(f"artifact {folder.name}: the canary cannot be read") from error
    if y.shape != (manifest.bits,) or y.dtype != np.float32:
        raise ArtifactRefused(f"artifact {folder.name}: the canary's y is not ({manifest.bits},) float32")
    return Canary(pixels, y, manifest.canary_margin)


def write_artifact(
    parent: Path,
    manifest: ArtifactManifest,
    *,
    encoder: Path | None,
    weights: bytes,
    canary: Canary,
    extra: Mapping[str, str] | None = None,
) -> Artifact:
    """Write an artifact whole, verify it, then put it in its place by one rename.

    Args:
        parent: The folder of artifacts; an artifact of the same name is replaced.
        manifest: All but ``files``, ``digest`` and ``checksum``, which are computed here.
        encoder: The ONNX file, or None where ``manifest.encoder`` names a sibling's.
        weights: The bytes of weights.safetensors.
        canary: A picture and its y; its margin is the manifest's.
        extra: Texts beside the model, by file name: the model card.

    Raises:
        ArtifactRefused: What was written does not verify.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".writing-") as scratch:
        folder = Path(scratch) / manifest.name
        folder.mkdir()
        (folder / WEIGHTS).write_bytes(weights)
        Image.fromarray(canary.pixels).save(folder / CANARY_PICTURE, optimize=True)
        np.save(folder / CANARY_Y, canary.y.astype(np.float32), allow_pickle=False)
        if encoder is not None:
            shutil.copyfile(encoder, folder / ENCODER)
        for name, text in (extra or {}).items():
            (folder / name).write_text(text, encoding="utf-8")
        encoder_path = _encoder_path(folder, manifest, parent)
        files = {name: _file_sha256(folder / name, manifest.name) for name in OWN_FILES}
        files[manifest.encoder] = _file_sha256(encoder_path, manifest.name)
        sealed = manifest.model_copy(update={"files": files, "canary_margin": canary.margin}).sealed()
        (folder / MANIFEST).write_text(sealed.text(), encoding="utf-8")
        _verify(folder, siblings=parent)
        _replace(folder, parent / manifest.name)
    return load_artifact(parent / manifest.name)


def _replace(written: Path, final: Path) -> None:
    """Rename; an older artifact is moved aside first, since a folder replaces only an empty one."""
    if final.exists():
        final.rename(written.parent / "replaced")
    written.rename(final)
