"""Fetched artifacts equal the published ones, or are refused with the model's name."""

import os
import random
import shutil
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.bootstrap import make_models
from app.domain.errors import ArtifactRefused, ModelExists, ModelMismatch, StorageFull, UnknownModel
from app.encoding.artifact import load_artifact, write_artifact
from app.images.objects import ObstoreObjects
from app.services.model_registry.publication import ArtifactStore
from app.settings import Settings
from app.store.engine import Database

pytestmark = pytest.mark.anyio

ARTIFACTS = Path(__file__).parents[4] / "model_artifacts"


@pytest.fixture
def trained(tmp_path):
    """A small artifact that is in no service's folder."""
    shipped = load_artifact(ARTIFACTS / "paper-32")
    return write_artifact(
        tmp_path / "trained",
        shipped.manifest.model_copy(update={"name": "mine", "summary": "Trained here."}),
        encoder=shipped.encoder_path,
        weights=b"weights",
        canary=shipped.canary,
    )


@pytest.fixture
def objects(tmp_path):
    return ObstoreObjects((tmp_path / "store").as_uri())


def stored_files(tmp_path):
    return sorted(path for path in (tmp_path / "store").rglob("*") if path.is_file())


async def test_a_published_artifact_is_fetched_and_cached_on_another_machine(trained, objects, tmp_path):
    address = await ArtifactStore(objects, tmp_path / "here").publish(trained)
    elsewhere = ArtifactStore(objects, tmp_path / "there")

    fetched = await elsewhere.fetch("mine", address)
    shutil.rmtree(tmp_path / "store")
    again = await elsewhere.fetch("mine", address)

    assert fetched.digest == again.digest == trained.digest
    assert fetched.manifest == trained.manifest
    assert [p.name for p in (tmp_path / "there").iterdir()] == [address.removeprefix("sha256:")]


async def test_old_partial_fetches_of_killed_processes_are_removed(trained, objects, tmp_path):
    address = await ArtifactStore(objects, tmp_path / "here").publish(trained)
    left, present = tmp_path / "there" / ".fetching-old", tmp_path / "there" / ".fetching-new"
    for folder in (left, present):
        (folder / "mine").mkdir(parents=True)
        (folder / "mine" / "encoder.onnx").write_bytes(b"half")
    os.utime(left, (0, 0))

    await ArtifactStore(objects, tmp_path / "there").fetch("mine", address)

    assert not left.exists()
    assert present.exists()


async def test_siblings_store_their_encoder_once(trained, objects, tmp_path):
    sibling = write_artifact(
        trained.folder.parent,
        trained.manifest.model_copy(update={"name": "sibling", "encoder": "../mine/encoder.onnx"}),
        encoder=None,
        weights=b"other weights",
        canary=trained.canary,
    )
    store = ArtifactStore(objects, tmp_path / "here")
    await store.publish(trained)
    before = len(stored_files(tmp_path))
    address = await store.publish(sibling)

    fetched = await store.fetch("sibling", address)

    # model.json and the weights are its own.
    assert len(stored_files(tmp_path)) == before + 2
    assert fetched.digest == sibling.digest


async def test_every_flip_and_truncation_of_a_stored_file_is_refused_by_name(trained, objects, tmp_path):
    address = await ArtifactStore(objects, tmp_path / "here").publish(trained)
    rng = random.Random(5)
    files = stored_files(tmp_path)

    for attempt in range(700):
        path = rng.choice(files)
        whole = path.read_bytes()
        if attempt < 500:
            at = rng.randrange(8 * len(whole))
            damaged = bytearray(whole)
            damaged[at // 8] ^= 1 << at % 8
        else:
            damaged = whole[: rng.randrange(len(whole))]
        path.write_bytes(bytes(damaged))
        with pytest.raises(ArtifactRefused, match="mine"):
            await ArtifactStore(objects, tmp_path / "there").fetch("mine", address)
        path.write_bytes(whole)

    assert list((tmp_path / "there").iterdir()) == []
    assert (await ArtifactStore(objects, tmp_path / "there").fetch("mine", address)).digest == trained.digest


async def test_a_damaged_cached_copy_is_fetched_again(trained, objects, tmp_path):
    store = ArtifactStore(objects, tmp_path / "there")
    address = await store.publish(trained)
    fetched = await store.fetch("mine", address)
    fetched.encoder_path.write_bytes(b"damaged")

    again = await store.fetch("mine", address)

    assert again.encoder_path.read_bytes() == trained.encoder_path.read_bytes()
    assert len(list((tmp_path / "there").iterdir())) == 1


@pytest.mark.parametrize("missing", range(5))
async def test_an_artifact_that_lacks_a_file_is_refused(trained, objects, tmp_path, missing):
    address = await ArtifactStore(objects, tmp_path / "here").publish(trained)
    stored_files(tmp_path)[missing].unlink()

    with pytest.raises(ArtifactRefused, match=r"mine: .* no longer in the store"):
        await ArtifactStore(objects, tmp_path / "there").fetch("mine", address)


class FullAfter:
    """A fake object store whose disk is full after some puts."""

    def __init__(self, objects, puts):
        self._objects = objects
        self._left = puts

    async def put(self, key, content, *, durable=True):
        if not self._left:
            raise StorageFull
        self._left -= 1
        await self._objects.put(key, content, durable=durable)


@pytest.mark.parametrize("puts", range(5))
async def test_a_failed_publication_registers_nothing(trained, objects, tmp_path, database: Database, puts):
    settings = Settings(data_dir=tmp_path / "data")
    models = make_models(settings, database, FullAfter(objects, puts))

    with pytest.raises(StorageFull):
        await models.publish(trained)

    assert await models.reports() == []


async def test_processes_that_share_a_database_but_no_folder_serve_a_published_model(
    trained, objects, tmp_path, database: Database
):
    here, there = (
        make_models(
            Settings(data_dir=tmp_path / name, artifacts_dir=tmp_path / f"no-{name}"),
            database,
            objects,
        )
        for name in ("here", "there")
    )
    record = await here.publish(trained)

    serving = await there.serving("mine")

    assert serving.encoder.digest == record.digest == trained.digest
    assert (record.origin, record.bits) == ("trained", 32)
    with pytest.raises(UnknownModel, match="'nothing'"):
        await there.serving("nothing")
    await here.close()
    await there.close()


@pytest.fixture
def folder(tmp_path):
    """A release's folder with one artifact."""
    shutil.copytree(ARTIFACTS / "paper-32", tmp_path / "release" / "paper-32")
    return tmp_path / "release"


def rewrite(folder, source="paper-32", **changes):
    """Replace paper-32 as another release would, by an artifact of this release."""
    shipped = load_artifact(ARTIFACTS / source)
    return write_artifact(
        folder,
        shipped.manifest.model_copy(update={"name": "paper-32", "encoder": "encoder.onnx", **changes}),
        encoder=shipped.encoder_path,
        weights=b"",
        canary=shipped.canary,
    )


async def test_a_release_that_changes_a_models_document_keeps_its_codes(
    folder, objects, tmp_path, database: Database
):
    settings = Settings(data_dir=tmp_path / "data", artifacts_dir=folder)
    await make_models(settings, database, objects).register_shipped()
    before = (await make_models(settings, database, objects).report("paper-32")).record
    rewrite(folder, summary="Measured again.")
    upgraded = make_models(settings, database, objects)

    names = await upgraded.register_shipped()

    after = (await upgraded.report("paper-32")).record
    serving = await upgraded.serving("paper-32")
    assert names == ["paper-32"]
    assert before.digest == after.digest == serving.encoder.digest
    assert (before.created_at, after.document["summary"]) == (after.created_at, "Measured again.")
    await upgraded.close()


async def test_another_model_with_a_registered_name_does_not_serve(
    folder, objects, tmp_path, database: Database
):
    settings = Settings(data_dir=tmp_path / "data", artifacts_dir=folder)
    await make_models(settings, database, objects).register_shipped()
    known = load_artifact(folder / "paper-32")
    rewrite(folder, "lite0-256")
    shutil.copytree(ARTIFACTS / "lite0-256", folder / "lite0-256")
    upgraded = make_models(settings, database, objects)

    with capture_logs() as logs:
        names = await upgraded.register_shipped()

    # The other models are registered, and the name stays with the model whose codes are stored.
    assert names == ["lite0-256"]
    assert [(line["event"], line["folder"]) for line in logs] == [("artifact_refused", "paper-32")]
    assert known.digest in logs[0]["detail"]
    assert (await upgraded.report("paper-32")).record.digest == known.digest
    with pytest.raises(UnknownModel, match="'paper-32'"):
        await upgraded.serving("paper-32")
    # Once the original folder is restored, its codes are searched again.
    shutil.rmtree(folder / "paper-32")
    shutil.copytree(ARTIFACTS / "paper-32", folder / "paper-32")
    restored = make_models(settings, database, objects)
    await restored.register_shipped()
    assert (await restored.serving("paper-32")).encoder.digest == known.digest
    await restored.close()


async def test_a_name_or_a_model_that_is_taken_is_refused(trained, objects, tmp_path, database: Database):
    settings = Settings(data_dir=tmp_path / "data", artifacts_dir=ARTIFACTS)
    models = make_models(settings, database, objects)
    await models.register_shipped()

    # ``mine`` computes the same codes as ``paper-32``.
    with pytest.raises(ModelExists, match="paper-32"):
        await models.publish(trained)
    lite = load_artifact(ARTIFACTS / "lite0-256")
    other = write_artifact(
        tmp_path / "other",
        lite.manifest.model_copy(update={"name": "paper-32", "encoder": "encoder.onnx"}),
        encoder=lite.encoder_path,
        weights=b"",
        canary=lite.canary,
    )
    with pytest.raises(ModelMismatch, match="paper-32"):
        await models.publish(other)
