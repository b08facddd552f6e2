"""Published artifacts: kept in the object store by SHA-256, and fetched by processes that share no folder.

Each file of an artifact is an object under its own digest, so siblings that share an encoder keep it once. The
artifact's address is the digest of its model.json, which names the digests of all the others: what is fetched
by an address is the artifact that was published under it, or it is refused.
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
from app.images.leftovers import remove_older_than
from app.images.objects import Objects

SCHEME: Final = "sha256:"
"""How the address of a published artifact begins; a shipped one's is the name of its folder."""
ABANDONED_AFTER_S: Final = 86_400.0
"""Seconds after which what a process was fetching counts as left by one that was killed."""

_FETCHING: Final = ".fetching-"


class ArtifactStore:
    """Publishes artifacts and fetches them into a folder of this machine."""

    def __init__(self, objects: Objects, cache_dir: Path) -> None:
        """Keep artifacts in ``objects``, and what was fetched in ``cache_dir``."""
        self._objects = objects
        self._cache_dir = cache_dir

    async def publish(self, artifact: Artifact) -> str:
        """Keep an artifact; nothing refers to it before all of it is kept.

        Returns:
            Its address, for ``fetch``.

        Raises:
            ArtifactRefused: A file is not the one that its manifest names.
            StorageFull: There is no space left.
            StorageUnavailable: The store does not answer.
        """
        manifest = artifact.manifest
        for name, path in artifact_files(artifact.folder, manifest).items():
            content = await asyncio.to_thread(path.read_bytes)
            await self._put(content, manifest.files[name], artifact.name)
        bill = manifest.text().encode()
        digest = hashlib.sha256(bill).hexdigest()
        await self._put(bill, digest, artifact.name)
        return SCHEME + digest

    async def fetch(self, name: str, address: str) -> Artifact:
        """The artifact at an address, from this machine's folder if it is there whole.

        Args:
            name: The model's name.
            address: What ``publish`` returned.

        Raises:
            ArtifactRefused: It is not whole in the store, or altered. The detail names the model and the file.
            StorageFull: This machine has no space left.
            StorageUnavailable: The store does not answer.
        """
        digest = address.removeprefix(SCHEME)
        home = self._cache_dir / digest
        with suppress(ArtifactRefused):
            return await asyncio.to_thread(load_artifact, home / name)
        await asyncio.to_thread(self._cache_dir.mkdir, parents=True, exist_ok=True)
        with suppress(OSError):
            await asyncio.to_thread(remove_older_than, self._cache_dir, ABANDONED_AFTER_S, prefix=_FETCHING)
        scratch = Path(tempfile.mkdtemp(dir=self._cache_dir, prefix=_FETCHING))
        try:
            await self._fetch_into(scratch / name, digest)
            await asyncio.to_thread(load_artifact, scratch / name)
            await asyncio.to_thread(_take_place, scratch, home, name)
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        return await asyncio.to_thread(load_artifact, home / name)

    async def _fetch_into(self, folder: Path, digest: str) -> None:
        bill = await self._get(digest, folder.name, MANIFEST)
        await asyncio.to_thread(_write, folder / MANIFEST, bill)
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
            raise ArtifactRefused(f"artifact {artifact}: {file} in the store is not the one that was published")
        return content


def _key(digest: str) -> str:
    return f"models/{digest[:2]}/{digest}"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def _take_place(scratch: Path, home: Path, name: str) -> None:
    """Rename; where another process was quicker, its copy stays if it is whole."""
    with suppress(ArtifactRefused):
        load_artifact(home / name)
        return
    if home.exists():
        damaged = scratch.with_name(f"{scratch.name}-damaged")
        home.rename(damaged)
        shutil.rmtree(damaged, ignore_errors=True)
    with suppress(OSError):  # another process put its own there a moment ago
        scratch.rename(home)
