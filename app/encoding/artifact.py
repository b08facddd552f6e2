"""Model artifacts on disk: verify, load and write them.

An artifact is a folder with the name of its model:

- ``model.json``: an ``ArtifactManifest`` in canonical form;
- ``encoder.onnx``: uint8 (n, S, S, 3) to y (n, bits) float32, and optionally a descriptor (n, m) int8. Several
  artifacts may share the file ``../<name>/encoder.onnx``, each with its own output;
- ``weights.safetensors``: the weights trained here (pretrained weights are recorded by package and SHA-256);
- ``canary.png`` and ``canary.npy``: a picture and its y, which an encoder must reproduce before it serves;
- ``class_weights.npy``, optional: weights of the bits for each ImageNet class, (1000, bits) float16, for
  searches by words;
- ``textual/model.onnx`` and ``textual/tokenizer.json``, optional: the encoder of texts that ``text_tower`` in
  model.json describes, from token ids to weights of the bits, (1, bits) float32.
"""

import hashlib
import io
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

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
CLASS_WEIGHTS: Final = "class_weights.npy"
TEXT_GRAPH: Final = "textual/model.onnx"
TOKENIZER: Final = "textual/tokenizer.json"
OPTIONAL_FILES: Final = (CLASS_WEIGHTS, TEXT_GRAPH, TOKENIZER)
CLASSES: Final = 1_000
"""Classes of ImageNet-1k, in the order of ``app.words``."""
MAX_MANIFEST_BYTES: Final = 1_000_000

_SHARED_ENCODER: Final = re.compile(r"\.\./([^/]+)/encoder\.onnx")


@dataclass(frozen=True, slots=True)
class Canary:
    """A picture with known y."""

    pixels: NDArray[np.uint8]
    """A decoded picture, shape (H, W, 3), uint8, which passes through preprocessing too."""
    y: NDArray[np.float32]
    """Shape (bits,), float32, as computed by the machine that built the artifact."""
    margin: float
    """Bits whose \\|y\\| is at most this may differ on another machine."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A verified artifact, whose files match its manifest."""

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
        """Identity of the model; codes of equal digests may be compared."""
        return self.manifest.digest

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of this model."""
        return self.manifest.preprocessing.preprocessing()


def load_artifact(folder: Path) -> Artifact:
    """Verify and load an artifact; ``OnnxEncoder`` then checks what it computes.

    Args:
        folder: ``model_artifacts/<name>``.

    Raises:
        ArtifactRefused: A file is missing or altered, or model.json is not valid; the detail names the artifact
            and the file.
    """
    return _verify(folder, siblings=folder.parent)


def artifact_files(folder: Path, manifest: ArtifactManifest) -> dict[str, Path]:
    """Paths of all files of a verified manifest, including a shared encoder.

    Args:
        folder: The artifact's folder.
        manifest: What ``read_manifest`` returned.
    """
    return _files(folder, manifest, folder.parent)


def _files(folder: Path, manifest: ArtifactManifest, siblings: Path) -> dict[str, Path]:
    optional = [name for name in OPTIONAL_FILES if name in manifest.files]
    paths = {name: folder / name for name in (*OWN_FILES, *optional)}
    return paths | {manifest.encoder: _encoder_path(folder, manifest, siblings)}


def _verify(folder: Path, *, siblings: Path) -> Artifact:
    manifest = read_manifest(folder)
    for name, path in _files(folder, manifest, siblings).items():
        expected = manifest.files[name]
        if _file_sha256(path, folder.name) != expected:
            raise ArtifactRefused(f"artifact {folder.name}: {name} is not the file named in model.json")
    return Artifact(folder, manifest, _encoder_path(folder, manifest, siblings), _read_canary(folder, manifest))


def read_manifest(folder: Path) -> ArtifactManifest:
    """Read and verify the manifest of an artifact, without its other files.

    Raises:
        ArtifactRefused: model.json is missing, altered, or another model's.
    """
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise ArtifactRefused(f"artifact {folder.name}: model.json is too large for a manifest")
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
    tower = set() if manifest.text_tower is None else {TEXT_GRAPH, TOKENIZER}
    if set(manifest.files) - {CLASS_WEIGHTS} != {*OWN_FILES, manifest.encoder, *tower}:
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
    raise ArtifactRefused(
        f"artifact {folder.name}: model.json: encoder: not a file of this or another artifact"
    )


def read_class_weights(artifact: Artifact) -> NDArray[np.float32] | None:
    """Read the weights of the bits for each class; None if the artifact has none.

    Returns:
        Shape (classes, bits), float32.

    Raises:
        ArtifactRefused: The file is missing or altered, or holds something else.
    """
    if CLASS_WEIGHTS not in artifact.manifest.files:
        return None
    content = read_verified(artifact, CLASS_WEIGHTS)
    try:
        weights = np.load(io.BytesIO(content), allow_pickle=False)
    except ValueError as error:
        raise ArtifactRefused(f"artifact {artifact.name}: {CLASS_WEIGHTS} cannot be read") from error
    if (
        weights.shape != (CLASSES, artifact.bits)
        or weights.dtype != np.float16
        or not np.isfinite(weights).all()
    ):
        raise ArtifactRefused(
            f"artifact {artifact.name}: {CLASS_WEIGHTS} is not ({CLASSES}, {artifact.bits}) finite float16"
        )
    found: NDArray[np.float32] = weights.astype(np.float32)
    return found


def write_class_weights(
    folder: Path, weights: NDArray[np.float32], texts: Mapping[str, Any], card: str
) -> Artifact:
    """Add class weights to an artifact; its digest, hence the codes, stay the same.

    Args:
        folder: The artifact's folder.
        weights: Shape (classes, bits).
        texts: Origin and figures, for ``text`` in the manifest's calibration.
        card: The new model card.
    """
    manifest = read_manifest(folder)
    np.save(folder / CLASS_WEIGHTS, weights.astype(np.float16), allow_pickle=False)
    files = manifest.files | {CLASS_WEIGHTS: _file_sha256(folder / CLASS_WEIGHTS, manifest.name)}
    calibration = manifest.calibration | {"text": dict(texts)}
    sealed = manifest.model_copy(update={"files": files, "calibration": calibration}).sealed()
    (folder / MANIFEST).write_text(sealed.text(), encoding="utf-8")
    (folder / "README.md").write_text(card, encoding="utf-8")
    return load_artifact(folder)


def read_verified(artifact: Artifact, name: str) -> bytes:
    """Read a file of an artifact and compare it with its digest once more: it may have changed meanwhile.

    Raises:
        ArtifactRefused: The file is missing or altered.
    """
    try:
        content = (artifact.folder / name).read_bytes()
    except OSError as error:
        raise ArtifactRefused(f"artifact {artifact.name}: {name} cannot be read") from error
    if hashlib.sha256(content).hexdigest() != artifact.manifest.files[name]:
        raise ArtifactRefused(f"artifact {artifact.name}: {name} is not the file named in model.json")
    return content


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


@dataclass(frozen=True, slots=True)
class TextTowerFiles:
    """The files of a text tower, to be copied into an artifact."""

    graph: Path
    """ONNX: token ids to weights of the bits, (1, bits) float32."""
    tokenizer: Path


def write_artifact(
    parent: Path,
    manifest: ArtifactManifest,
    *,
    encoder: Path | None,
    weights: bytes,
    canary: Canary,
    class_weights: NDArray[np.float32] | None = None,
    text_tower: TextTowerFiles | None = None,
    extra: Mapping[str, str] | None = None,
) -> Artifact:
    """Write and verify an artifact in a temporary folder, then rename it into place.

    Args:
        parent: Folder of artifacts; an artifact of the same name is replaced.
        manifest: Manifest without ``files``, ``digest`` and ``checksum``, which are computed here.
        encoder: The ONNX file, or None if ``manifest.encoder`` names a shared one.
        weights: The bytes of weights.safetensors.
        canary: A picture and its y; its margin is written to the manifest.
        class_weights: Weights of the bits for each class, shape (classes, bits), if the encoder has classes.
        text_tower: The files of the text tower, if the manifest describes one.
        extra: Additional text files by name, such as the model card.

    Raises:
        ArtifactRefused: The written artifact fails verification.
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
        own = list(OWN_FILES)
        if class_weights is not None:
            np.save(folder / CLASS_WEIGHTS, class_weights.astype(np.float16), allow_pickle=False)
            own.append(CLASS_WEIGHTS)
        if text_tower is not None:
            (folder / TEXT_GRAPH).parent.mkdir()
            shutil.copyfile(text_tower.graph, folder / TEXT_GRAPH)
            shutil.copyfile(text_tower.tokenizer, folder / TOKENIZER)
            own += [TEXT_GRAPH, TOKENIZER]
        encoder_path = _encoder_path(folder, manifest, parent)
        files = {name: _file_sha256(folder / name, manifest.name) for name in own}
        files[manifest.encoder] = _file_sha256(encoder_path, manifest.name)
        sealed = manifest.model_copy(update={"files": files, "canary_margin": canary.margin}).sealed()
        (folder / MANIFEST).write_text(sealed.text(), encoding="utf-8")
        _verify(folder, siblings=parent)
        _replace(folder, parent / manifest.name)
    return load_artifact(parent / manifest.name)


def _replace(written: Path, final: Path) -> None:
    """Rename a folder into place; move an older artifact aside first, as rename replaces only empty folders."""
    if final.exists():
        final.rename(written.parent / "replaced")
    written.rename(final)
