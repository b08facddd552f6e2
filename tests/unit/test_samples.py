"""The shipped sample gallery: whole, described, free, and as the tools draw it."""

import base64
import hashlib
import io
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from app.domain.filters import check_metadata
from app.domain.ids import parse_image_id
from app.encoding.artifact import load_artifact
from app.encoding.encoder import OnnxEncoder
from app.samples import FOLDER, sample_codes, samples
from app.settings import Settings
from tools.make_sample_codes import sample_entries
from tools.make_samples import PHOTOGRAPHS
from tools.sample_gallery import draw_gallery

SAMPLES = list(samples())


def test_every_picture_is_as_its_index_says():
    for sample in SAMPLES:
        content = sample.read()
        assert hashlib.sha256(content).hexdigest() == sample.sha256
        with Image.open(io.BytesIO(content)) as picture:
            assert (picture.format, picture.mode) == ("JPEG", "RGB")


def test_the_index_lists_every_file_once_under_an_id_of_its_own():
    files = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.jpg"))

    assert sorted(sample.file for sample in SAMPLES) == files
    assert (
        len({sample.image_id for sample in SAMPLES}) == len({sample.uri for sample in SAMPLES}) == len(SAMPLES)
    )


def test_ids_and_metadata_are_ones_that_the_service_accepts():
    for sample in SAMPLES:
        assert parse_image_id(sample.image_id) == sample.image_id
        check_metadata(sample.metadata)
        assert set(sample.metadata) == {"label", "kind", "colour", "brightness"}


def test_every_photograph_has_its_licence_and_origin_beside_it():
    origins = (FOLDER / "ORIGINS.md").read_text()
    photographs = [sample.file for sample in SAMPLES if sample.metadata["kind"] == "photograph"]

    assert len(photographs) == len(PHOTOGRAPHS)
    assert [file for file in photographs if f"| {file} |" not in origins] == []


@pytest.mark.slow
def test_the_drawn_pictures_are_what_the_tool_draws():
    shipped = {sample.image_id: sample for sample in SAMPLES}

    for picture in islice(draw_gallery(), 26):
        assert shipped[picture.name].metadata == picture.metadata
        assert shipped[picture.name].read() == picture.jpeg


@pytest.fixture(scope="module")
def encoder():
    settings = Settings()
    return OnnxEncoder(load_artifact(settings.models.artifacts_dir / settings.models.default_model), threads=1)


@pytest.mark.slow
def test_the_shipped_codes_are_what_the_default_model_gives(encoder):
    """Processors may differ in the last bits of a sum: in few signs, and in descriptors by one."""
    shipped = sample_codes(encoder.digest)

    assert shipped.keys() == {sample.sha256 for sample in SAMPLES}
    for sha256, entry in sample_entries(encoder):
        code = shipped[sha256]
        assert (code.width, code.height, code.is_blank) == (entry["width"], entry["height"], entry["is_blank"])
        computed = np.frombuffer(base64.b64decode(entry["code"]), np.uint8)
        differing = np.unpackbits(np.frombuffer(code.code, np.uint8) ^ computed).sum()
        assert (len(code.code), differing <= 2) == (encoder.bits // 8, True)
        descriptors = [
            np.frombuffer(d, np.int8) for d in (code.descriptor, base64.b64decode(entry["descriptor"]))
        ]
        assert np.abs(np.subtract(*descriptors, dtype=np.int64)).max() <= 1


def test_there_are_no_codes_of_another_model():
    assert sample_codes("another digest") == {}
