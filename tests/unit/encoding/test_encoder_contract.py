"""One suite for every encoder: the fake that tests use must behave as the real one does."""

from pathlib import Path

import numpy as np
import pytest

from app.domain.codes import check_bits, pack_signs
from app.encoding.artifact import load_artifact
from app.encoding.encoder import OnnxEncoder
from tests.fakes.encoders import ColourEncoder
from tests.unit.encoding.pictures import waves

ARTIFACTS = Path(__file__).parents[3] / "model_artifacts"
SHIPPED = sorted(path.parent for path in ARTIFACTS.glob("*/model.json"))


@pytest.fixture(
    scope="module",
    params=[*SHIPPED, "colour", "colour with descriptor"],
    ids=lambda param: getattr(param, "name", param),
)
def encoder(request):
    if request.param == "colour":
        return ColourEncoder()
    if request.param == "colour with descriptor":
        return ColourEncoder(bits=256, descriptor_dim=8)
    return OnnxEncoder(load_artifact(request.param))


@pytest.fixture(scope="module")
def batch(encoder):
    return np.stack([encoder.prepare(waves(seed)) for seed in range(4)])


def test_it_says_what_it_makes(encoder, batch):
    encoded = encoder.encode(batch)

    assert check_bits(encoder.bits) == encoder.bits
    assert batch.shape[1:] == (encoder.input_size, encoder.input_size, 3)
    assert encoded.y.shape == (4, encoder.bits)
    assert encoded.y.dtype == np.float32
    if encoder.descriptor_dim is None:
        assert encoded.descriptor is None
    else:
        assert encoded.descriptor.shape == (4, encoder.descriptor_dim)
        assert encoded.descriptor.dtype == np.int8


def test_a_picture_has_the_same_y_in_any_company(encoder, batch):
    together = encoder.encode(batch)

    for i in range(len(batch)):
        alone = encoder.encode(batch[i : i + 1])
        np.testing.assert_array_equal(alone.y[0], together.y[i])
        if together.descriptor is not None:
            np.testing.assert_array_equal(alone.descriptor[0], together.descriptor[i])


def test_different_pictures_have_different_codes(encoder, batch):
    codes = pack_signs(encoder.encode(batch).y)

    assert len(np.unique(codes, axis=0)) == len(batch)


def test_an_empty_batch_is_no_pictures(encoder, batch):
    assert encoder.encode(batch[:0]).y.shape == (0, encoder.bits)


def test_a_batch_of_another_size_or_type_is_refused(encoder, batch):
    for wrong in (batch[:, 1:], batch.astype(np.float32), batch[0]):
        with pytest.raises(ValueError, match="a batch is"):
            encoder.encode(wrong)


def test_models_are_told_apart_by_their_digest(encoder):
    assert encoder.digest
    assert encoder.digest != ColourEncoder("another", bits=32).digest
