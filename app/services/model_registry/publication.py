"""Publish artifacts to the object store by SHA-256, and fetch them in processes that share no folder.

Each file of an artifact is an object under its own digest, so siblings that share an encoder store it once. The
artifact's address is the digest of its model.json, which lists the digests of all other files; a fetched
artifact that differs from the published one is refused.
"""

import asyncio
import hashlib
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.domain.errors import ArtifactRefused
from app.encoding.artifact import MANIFEST, Artifact, artifact_files, load_artifact, read_manifest
from app.images.objects import Objects
from app.scratch import remove_older_than

SCHEME: Final = "sha256:"
"""Prefix of the addresses of published artifacts; the address of a shipped one is the name of its folder."""
PUBLISHED_FOLDER: Final = "models"
"""Folder of the object store; each file's key ends in its SHA-256."""
ABANDONED_AFTER_S: Final = 86_400.0
"""Age in seconds after which a partial fetch counts as abandoned by a killed process."""

_FETCHING: Final = ".fetching-"


class ArtifactStore:
    """Publish artifacts, and fetch them into a folder of this machine."""

    def __init__(self, objects: Objects, cache_dir: Path) -> None:
        """Store published artifacts in ``objects``, and cache fetched ones in ``cache_dir``."""
        self._objects = objects
        self._cache_dir = cache_dir

    async def publish(self, artifact: Artifact) -> str:
        """Store an artifact's files.

        Returns:
            Its address, for ``fetch``.

        Raises:
            ArtifactRefused: A file differs from its digest in the manifest.
            StorageFull: The disk is full.
            StorageUnavailable: The store does not answer.
        """
        manifest = artifact.manifest
        for name, path in artifact_files(artifact.folder, manifest).items():
            content = await asyncio.to_thread(path.read_bytes)
            await self._put(content, manifest.files[name], artifact.name)
        # Store the manifest last, so that it never lists files that are not stored.
        text = manifest.text().encode()
        digest = hashlib.sha256(text).hexdigest()
        await self._put(text, digest, artifact.name)
        return SCHEME + digest

    async def fetch(self, name: str, address: str) -> Artifact:
        """Return the artifact at an address, from the cache if it is intact there.

        Args:
            name: The model's name.
            address: Address from ``publish``.

        Raises:
            ArtifactRefused: A file is missing from the store or altered; the detail names model and file.
            StorageFull: This machine's disk is full.
            StorageUnavailable: The store does not answer.
        """
        digest = address.removeprefix(SCHEME)
        folder = self._cache_dir / digest
        with suppress(ArtifactRefused):
            return await asyncio.to_thread(load_artifact, folder / name)
        await asyncio.to_thread(self._cache_dir.mkdir, parents=True, exist_ok=True)
        with suppress(OSError):
            await asyncio.to_thread(remove_older_than, self._cache_dir, ABANDONED_AFTER_S, prefix=_FETCHING)
        scratch = Path(tempfile.mkdtemp(dir=self._cache_dir, prefix=_FETCHING))
        try:
            await self._fetch_into(scratch / name, digest)
            await asyncio.to_thread(load_artifact, scratch / name)
            await asyncio.to_thread(_move_into_cache, scratch, folder, name)
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        return await asyncio.to_thread(load_artifact, folder / name)

    async def _fetch_into(self, folder: Path, digest: str) -> None:
        text = await self._get(digest, folder.name, MANIFEST)
        await asyncio.to_thread(_write, folder / MANIFEST, text)
        manifest = await asyncio.to_thread(read_manifest, folder)
        for name, path in artifact_files(folder, manifest).items():
            content = await self._get(manifest.files[name], folder.name, name)
            await asyncio.to_thread(_write, path, content)

    async def _put(self, content: bytes, digest: str, artifact: str) -> None:
        if hashlib.sha256(content).hexdigest() != digest:
            raise ArtifactRefused(f"artifact {artifact}: a file changed while it was published")
        await self._objects.put(_key(digest), content)

    async def _get(self, digest: str, artifact: str, file: str) -> bytes:
        content = await self._objects.get(_key(digest))
        if content is None:
            raise ArtifactRefused(f"artifact {artifact}: {file} is no longer in the store")
        if hashlib.sha256(content).hexdigest() != digest:
            raise ArtifactRefused(f"artifact {artifact}: {file} in the store differs from the published file")
        return content


def _key(digest: str) -> str:
    return f"{PUBLISHED_FOLDER}/{digest[:2]}/{digest}"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def _move_into_cache(scratch: Path, folder: Path, name: str) -> None:
    """Rename ``scratch`` to ``folder``, unless another process has put an intact copy there."""
    with suppress(ArtifactRefused):
        load_artifact(folder / name)
        return
    if folder.exists():
        damaged = scratch.with_name(f"{scratch.name}-damaged")
        folder.rename(damaged)
        shutil.rmtree(damaged, ignore_errors=True)
    with suppress(OSError):  # another process renamed its copy a moment ago
        scratch.rename(folder)
