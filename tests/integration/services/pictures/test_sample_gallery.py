"""The sample gallery comes with codes of the default model, and is encoded under any other."""

import pytest

from app.bootstrap import open_serving
from app.samples import sample_codes, samples
from app.services.pictures.coding import PictureCoder
from app.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
def decoded(monkeypatch) -> list[bytes]:
    """The pictures that are decoded and encoded."""
    contents: list[bytes] = []
    codes = PictureCoder.codes

    def note(self, some, models):
        contents.extend(some)
        return codes(self, some, models)

    monkeypatch.setattr(PictureCoder, "codes", note)
    return contents


def settings_of(folder, **options) -> Settings:
    return Settings(data_dir=folder, decode_children=1, **options)


async def test_under_the_default_model_nothing_is_decoded_or_encoded(tmp_path, make_data_dir, decoded):
    async with open_serving(settings_of(make_data_dir(tmp_path / "data"))) as services:
        await services.load()
        await services.sample_gallery.add_on_first_start()

        live = services.index_sync.catalogue.collection("default")
        shipped = sample_codes(live.model_digest)
        async with services.database.read() as unit:
            images = await unit.images.get_many(live.record.pk, [sample.image_id for sample in samples()])
            numbers = [image.number for image in images.values()]
            stored = await unit.images.codes_of(live.record.pk, live.record.model, numbers)
        assert decoded == []
        assert len(shipped) == len(images) == live.index.view().count
        assert all(stored[image.number] == shipped[image.sha256].code for image in images.values())


async def test_a_sample_whose_file_was_changed_is_encoded(tmp_path, make_data_dir, decoded, monkeypatch):
    changed = next(samples()).read() + b"\0"
    first = next(samples()).image_id
    read = type(next(samples())).read
    monkeypatch.setattr(
        "app.samples.Sample.read", lambda self: changed if self.image_id == first else read(self)
    )
    async with open_serving(settings_of(make_data_dir(tmp_path / "data"))) as services:
        await services.load()
        await services.sample_gallery.add_on_first_start()

        assert decoded == [changed]


async def test_under_another_model_every_sample_is_encoded(tmp_path, make_data_dir, decoded, monkeypatch):
    few = list(samples())[:5]
    monkeypatch.setattr("app.services.pictures.sample_gallery.samples", lambda: iter(few))
    settings = settings_of(make_data_dir(tmp_path / "data"), default_model="paper-32")
    async with open_serving(settings) as services:
        await services.load()
        await services.sample_gallery.add_on_first_start()

        assert sorted(decoded) == sorted(sample.read() for sample in few)
        assert services.index_sync.catalogue.collection("default").index.view().count == len(few)
