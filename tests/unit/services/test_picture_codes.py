"""Pictures coded together are decoded in slices, and get the same codes as alone."""

import asyncio
import threading
from contextlib import asynccontextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from app.domain.errors import PictureRefused
from app.encoding.batching import MicroBatcher
from app.images.decode import Decoder
from app.images.sniff import Limits
from app.services.model_registry.models import ServingModel
from app.services.pictures.coding import SLICE_BYTES, SLICE_PICTURES, PictureCoder
from tests.fakes.encoders import ColourEncoder
from tests.fixtures.pictures import encoded, photo

pytestmark = pytest.mark.anyio


class WatchedDecoder(Decoder):
    """A fake that records the size of each slice, and can wait before each picture."""

    def __init__(self, children):
        super().__init__(Limits(), children=children)
        self.slices = []
        self.given_out = 0
        self.gate = threading.Event()
        self.gate.set()

    def decode_many(self, contents, *, crop=None):
        self.slices.append(len(contents))
        for outcome in super().decode_many(contents, crop=crop):
            self.given_out += 1
            assert self.gate.wait(10)
            yield outcome


@asynccontextmanager
async def coding(children=1, models=1):
    decoder = WatchedDecoder(children)
    coder = PictureCoder(decoder, decode_threads=children)
    encoders = [ColourEncoder(f"colour-{bits}", bits=bits) for bits in (64, 128)[:models]]
    batchers = [MicroBatcher(encoder) for encoder in encoders]
    serving = [
        ServingModel(SimpleNamespace(name=encoder.name), encoder, batcher)
        for encoder, batcher in zip(encoders, batchers, strict=True)
    ]
    try:
        yield coder, decoder, serving
    finally:
        decoder.gate.set()
        for batcher in batchers:
            await batcher.aclose()
        await asyncio.to_thread(coder.close)


async def test_pictures_coded_together_get_the_same_codes_as_alone():
    contents = [encoded(photo(seed=i), "PNG") for i in range(2 * SLICE_PICTURES + 3)]
    contents[5] = b"no picture"
    async with coding(models=2) as (coder, decoder, models):
        together = await coder.codes(contents, models)
        assert decoder.slices == [SLICE_PICTURES, SLICE_PICTURES, 3]
        for i, content in enumerate(contents):
            if i == 5:
                assert isinstance(together[i], PictureRefused)
                continue
            for coded, model in zip(together[i], models, strict=True):
                alone = await coder.code(content, model)
                assert (coded.model, coded.sha256, coded.code_bytes) == (
                    alone.model,
                    alone.sha256,
                    alone.code_bytes,
                )
                np.testing.assert_array_equal(coded.y, alone.y)
        refused = await coder.codes([b"no picture", b""], models)
        assert [one.code for one in refused] == ["not_an_image", "not_an_image"]
        assert await coder.codes([], models) == []


async def test_few_pictures_are_spread_over_all_threads_and_large_ones_are_decoded_singly():
    small = encoded(photo(), "PNG")
    async with coding(children=2) as (coder, decoder, models):
        await coder.codes([small] * 4, models)
        assert decoder.slices == [2, 2]
        decoder.slices.clear()
        await coder.codes([small + bytes(SLICE_BYTES)] * 4 + [small] * 4, models)
        assert sorted(decoder.slices) == [1, 1, 1, 1, 4]


async def test_a_query_waits_for_a_slice_and_not_for_a_whole_addition():
    contents = [encoded(photo(seed=i), "PNG") for i in range(8 * SLICE_PICTURES)]
    async with coding() as (coder, decoder, models):
        decoder.gate.clear()
        adding = asyncio.create_task(coder.codes(contents, models))
        while not decoder.slices:  # noqa: ASYNC110 - until the first slice is begun
            await asyncio.sleep(0.01)
        query = asyncio.create_task(coder.code(contents[0], models[0]))
        await asyncio.sleep(0.01)
        decoder.gate.set()
        await query
        assert sum(decoder.slices) <= 3 * SLICE_PICTURES + 1
        assert len(await adding) == len(contents)


async def test_decoding_stops_after_the_picture_in_progress_when_cancelled():
    contents = [encoded(photo(seed=i), "PNG") for i in range(3 * SLICE_PICTURES)]
    async with coding() as (coder, decoder, models):
        decoder.gate.clear()
        adding = asyncio.create_task(coder.codes(contents, models))
        while not decoder.given_out:  # noqa: ASYNC110 - until a picture is in hand
            await asyncio.sleep(0.01)
        adding.cancel()
        await asyncio.wait([adding])
        decoder.gate.set()
        await coder.code(contents[0], models[0])
        assert decoder.given_out == 2
        assert len(await coder.codes(contents[:3], models)) == 3
