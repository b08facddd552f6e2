"""Pictures coded together are decoded in slices, and get the same codes as alone."""

import asyncio
import contextlib
import os
import signal
import threading
from contextlib import asynccontextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from app.domain.errors import Overloaded, PictureRefused
from app.domain.ids import sha256_hex
from app.encoding.batching import MicroBatcher
from app.images.decode import Decoder
from app.images.sniff import Limits
from app.images.spooled import SpooledContent
from app.services.model_registry.models import ServingModel
from app.services.pictures.coding import SLICE_BYTES, SLICE_PICTURES, PictureCoder
from app.telemetry.usage import begin_usage
from tests.fakes.encoders import ColourEncoder
from tests.fixtures.pictures import encoded, photo

pytestmark = pytest.mark.anyio


class WatchedDecoder(Decoder):
    """Remembers how many pictures it got at a time, and may be held up before each turn ends."""

    def __init__(self, children):
        super().__init__(Limits(), children=children, turn_s=60)
        self.slices = []
        self.gate = threading.Event()
        self.gate.set()

    def decode_some(self, contents, **options):
        self.slices.append(len(contents))
        outcomes = super().decode_some(contents, **options)
        assert self.gate.wait(10)
        return outcomes


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


async def test_each_way_to_decode_counts_for_the_caller():
    content = encoded(photo(), "PNG")
    async with coding() as (coder, _, [model]):
        for decode in (coder.decode(content), coder.code(content, model), coder.codes([content], [model])):
            usage = begin_usage()
            await decode
            assert usage.decode_s > 0


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
        assert decoder.slices[:2] == [SLICE_PICTURES, 1]
        assert len(await adding) == len(contents)


async def test_whoever_is_cancelled_has_no_more_pictures_decoded_than_the_slice_in_hand():
    contents = [encoded(photo(seed=i), "PNG") for i in range(3 * SLICE_PICTURES)]
    async with coding() as (coder, decoder, models):
        decoder.gate.clear()
        adding = asyncio.create_task(coder.codes(contents, models))
        while not decoder.slices:  # noqa: ASYNC110 - until a slice is in hand
            await asyncio.sleep(0.01)
        adding.cancel()
        await asyncio.wait([adding])
        decoder.gate.set()
        await coder.code(contents[0], models[0])
        assert decoder.slices == [SLICE_PICTURES, 1]
        assert len(await coder.codes(contents[:3], models)) == 3


async def test_an_addition_that_is_refused_has_no_more_pictures_decoded_than_the_slice_in_hand(monkeypatch):
    contents = [encoded(photo(seed=i), "PNG") for i in range(4 * SLICE_PICTURES)]
    async with coding() as (coder, decoder, models):

        async def full(*_, **__):
            raise Overloaded

        monkeypatch.setattr(models[0].batcher, "encode_many", full)
        with pytest.raises(Overloaded):
            await coder.codes(contents, models)
        begun = len(decoder.slices)
        assert begun <= 2
        await coder.decode(contents[0])
        await coder.decode(contents[0])
        assert len(decoder.slices) == begun


async def test_additions_of_single_pictures_are_encoded_together_within_the_bound_of_memory(monkeypatch):
    contents = [encoded(photo(seed=i), "PNG") for i in range(3 * SLICE_PICTURES)]
    async with coding() as (coder, _, models):
        gate = threading.Event()
        encode = models[0].encoder.encode

        def held_up(batch):
            assert gate.wait(10)
            return encode(batch)

        monkeypatch.setattr(models[0].encoder, "encode", held_up)
        adding = [asyncio.create_task(coder.codes([content], models)) for content in contents]
        # One is being encoded.
        while models[0].batcher.waiting < 2 * SLICE_PICTURES - 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert models[0].batcher.waiting == 2 * SLICE_PICTURES - 1
        gate.set()
        assert len(await asyncio.gather(*adding)) == len(contents)


async def test_pictures_whose_child_dies_are_coded_one_by_one():
    contents = [encoded(photo(seed=i), "PNG") for i in range(3)]
    async with coding() as (coder, decoder, models):
        await coder.codes(contents[:1], models)
        decoder.slices.clear()
        os.kill(decoder.pids()[0], signal.SIGSTOP)
        decoder._timeout_s = 5.0
        stopped = next(iter(decoder._all))
        stopped._timeout_s = 0.2
        coded = await coder.codes(contents, models)
        assert [one[0].sha256 for one in coded] == [sha256_hex(content) for content in contents]
        assert decoder.slices == [3, 1, 1, 1]


async def test_files_on_disk_are_read_when_their_slice_is_decoded(tmp_path):
    contents = [encoded(photo(seed=i), "PNG") for i in range(SLICE_PICTURES + 1)]
    with contextlib.ExitStack() as files:
        spooled = []
        for i, content in enumerate(contents):
            path = tmp_path / str(i)
            path.write_bytes(content)
            spooled.append(SpooledContent(files.enter_context(path.open("rb")), len(content)))
        async with coding() as (coder, _, models):
            coded = await coder.codes(spooled, models)
    assert [one[0].sha256 for one in coded] == [sha256_hex(content) for content in contents]
