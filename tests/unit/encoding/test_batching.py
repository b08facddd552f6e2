import asyncio
import math
import threading
from contextlib import asynccontextmanager

import numpy as np
import pytest

from app.domain.errors import Overloaded
from app.encoding import batching
from app.encoding.batching import MicroBatcher
from tests.fakes.encoders import ColourEncoder
from tests.unit.encoding.pictures import waves


class GatedEncoder(ColourEncoder):
    """Encodes only while the gate is open, and remembers the size of each batch."""

    def __init__(self):
        super().__init__()
        self.gate = threading.Event()
        self.started = threading.Event()
        self.batches = []
        self.failure = None

    def encode(self, batch):
        self.started.set()
        assert self.gate.wait(10)
        self.batches.append(len(batch))
        if self.failure is not None:
            raise self.failure
        return super().encode(batch)


@asynccontextmanager
async def held_batcher(**settings):
    """A batcher whose encoder is busy with one picture until the gate opens."""
    encoder = GatedEncoder()
    try:
        async with MicroBatcher(encoder, **settings) as batcher:
            first = asyncio.create_task(batcher.encode(encoder.prepare(waves(0))))
            await asyncio.to_thread(encoder.started.wait, 10)
            yield encoder, batcher, first
            encoder.gate.set()
    finally:
        encoder.gate.set()


async def queue_up(batcher, encoder, seeds):
    """One waiting caller a seed."""
    before = batcher.waiting
    callers = [asyncio.create_task(batcher.encode(encoder.prepare(waves(seed)))) for seed in seeds]
    async with asyncio.timeout(10):
        while batcher.waiting < before + len(callers):  # noqa: ASYNC110 - a poll with a deadline
            await asyncio.sleep(0)
    return callers


def run(coroutine):
    return asyncio.run(coroutine)


def test_each_caller_gets_the_y_of_its_own_picture():
    async def scenario():
        encoder = ColourEncoder(descriptor_dim=4)
        pictures = [encoder.prepare(waves(seed)) for seed in range(20)]
        async with MicroBatcher(encoder, max_batch=3) as batcher:
            results = await asyncio.gather(*(batcher.encode(picture) for picture in pictures))
        expected = encoder.encode(np.stack(pictures))
        np.testing.assert_array_equal([result.y for result in results], expected.y)
        np.testing.assert_array_equal([result.descriptor for result in results], expected.descriptor)

    run(scenario())


def test_pictures_that_arrive_while_one_is_encoded_share_the_next_batch():
    async def scenario():
        async with held_batcher(max_batch=4) as (encoder, batcher, first):
            others = await queue_up(batcher, encoder, range(1, 7))
            encoder.gate.set()
            await asyncio.gather(first, *others)
            assert encoder.batches == [1, 4, 2]

    run(scenario())


def test_beyond_its_bound_the_queue_refuses_and_says_when_to_come_back():
    async def scenario():
        async with held_batcher(max_waiting=2, retry_after_s=7) as (encoder, batcher, first):
            others = await queue_up(batcher, encoder, [1, 2])
            with pytest.raises(Overloaded) as refused:
                await batcher.encode(encoder.prepare(waves(3)))
            assert refused.value.retry_after_s == 7
            encoder.gate.set()
            await asyncio.gather(first, *others)

    run(scenario())


def test_a_cancelled_caller_costs_nothing():
    async def scenario():
        async with held_batcher() as (encoder, batcher, first):
            leaver, stayer = await queue_up(batcher, encoder, [1, 2])
            leaver.cancel()
            await asyncio.wait([leaver])
            assert batcher.waiting == 1
            encoder.gate.set()
            await asyncio.gather(first, stayer)
            assert encoder.batches == [1, 1]

    run(scenario())


def test_a_caller_cancelled_while_its_batch_runs_harms_no_other():
    async def scenario():
        async with held_batcher() as (encoder, batcher, first):
            (other,) = await queue_up(batcher, encoder, [1])
            first.cancel()
            await asyncio.wait([first])
            encoder.gate.set()
            await other
            assert first.cancelled()

    run(scenario())


def test_an_encoder_that_fails_fails_its_callers_and_serves_the_next():
    async def scenario():
        async with held_batcher() as (encoder, batcher, first):
            encoder.failure = MemoryError("no room")
            encoder.gate.set()
            with pytest.raises(MemoryError):
                await first
            encoder.failure = None
            assert (await batcher.encode(encoder.prepare(waves(1)))).y.shape == (64,)

    run(scenario())


def test_closing_finishes_those_that_wait_and_refuses_new_ones():
    async def scenario():
        async with held_batcher() as (encoder, batcher, first):
            (waiting,) = await queue_up(batcher, encoder, [1])
            closing = asyncio.create_task(batcher.aclose())
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await batcher.encode(encoder.prepare(waves(2)))
            encoder.gate.set()
            await closing
            assert first.done()
            assert waiting.done()

    run(scenario())


async def ask_for_many(batcher, encoder, seeds):
    """One waiting caller for all seeds."""
    before = batcher.waiting
    caller = asyncio.create_task(batcher.encode_many([encoder.prepare(waves(seed)) for seed in seeds]))
    async with asyncio.timeout(10):
        while batcher.waiting < before + len(seeds):  # noqa: ASYNC110 - a poll with a deadline
            await asyncio.sleep(0)
    return caller


def test_many_pictures_of_one_caller_come_back_in_order_and_as_if_they_were_alone():
    async def scenario():
        encoder = ColourEncoder(descriptor_dim=4)
        pictures = [encoder.prepare(waves(seed)) for seed in range(20)]
        async with MicroBatcher(encoder, max_batch=3) as batcher:
            together, *alone = await asyncio.gather(
                batcher.encode_many(pictures), *(batcher.encode(picture) for picture in pictures)
            )
            assert await batcher.encode_many([]) == []
        np.testing.assert_array_equal([one.y for one in together], [one.y for one in alone])
        np.testing.assert_array_equal(
            [one.descriptor for one in together], encoder.encode(np.stack(pictures)).descriptor
        )

    run(scenario())


def test_who_has_many_pictures_shares_runs_with_those_behind():
    async def scenario():
        async with held_batcher(max_batch=4) as (encoder, batcher, first):
            many = await ask_for_many(batcher, encoder, range(1, 7))
            others = await queue_up(batcher, encoder, [7, 8, 9])
            encoder.gate.set()
            assert len(await many) == 6
            await asyncio.gather(first, *others)
            assert encoder.batches == [1, 4, 4, 1]

    run(scenario())


def test_pictures_that_do_not_all_fit_into_the_queue_are_refused_together():
    async def scenario():
        async with held_batcher(max_waiting=4) as (encoder, batcher, first):
            await queue_up(batcher, encoder, [1, 2])
            with pytest.raises(Overloaded):
                await batcher.encode_many([encoder.prepare(waves(seed)) for seed in (3, 4, 5)])
            assert batcher.waiting == 2
            encoder.gate.set()
            await first

    run(scenario())


def test_a_cancelled_caller_of_many_leaves_no_picture_behind():
    async def scenario():
        async with held_batcher(max_batch=2) as (encoder, batcher, first):
            leaver = await ask_for_many(batcher, encoder, range(1, 6))
            (stayer,) = await queue_up(batcher, encoder, [6])
            leaver.cancel()
            await asyncio.wait([leaver])
            assert batcher.waiting == 1
            encoder.gate.set()
            await asyncio.gather(first, stayer)
            assert encoder.batches == [1, 1]

    run(scenario())


def test_a_run_that_fails_fails_its_caller_once_and_encodes_nothing_more_for_it():
    async def scenario():
        async with held_batcher(max_batch=1) as (encoder, batcher, first):
            encoder.failure = MemoryError("no room")
            many = await ask_for_many(batcher, encoder, range(1, 9))
            encoder.gate.set()
            with pytest.raises(MemoryError):
                await first
            with pytest.raises(MemoryError):
                await many
            encoder.failure = None
            await batcher.encode(encoder.prepare(waves(9)))
            assert batcher.waiting == 0
            assert len(encoder.batches) < 9

    run(scenario())


@pytest.mark.parametrize(
    ("patience_s", "batches"),
    [
        # One that was in hand; six queries and two of the others; four and two; half a batch at a time.
        (math.inf, [1, 8, 6, 4, 4]),
        # More of them wait than queries, and for long: half of each batch.
        (0.0, [1, 8, 8, 6]),
    ],
)
def test_queries_are_encoded_before_pictures_to_index_which_get_a_share_of_each_batch(
    patience_s, batches, monkeypatch
):
    monkeypatch.setattr(batching, "PATIENCE_S", patience_s)

    async def scenario():
        async with held_batcher(max_batch=8) as (encoder, batcher, first):
            pictures = [encoder.prepare(waves(seed)) for seed in range(12)]
            indexing = asyncio.create_task(batcher.encode_many(pictures, is_query=False))
            queries = []
            async with asyncio.timeout(10):
                while batcher.waiting < 12:  # noqa: ASYNC110 - a poll with a deadline
                    await asyncio.sleep(0)
                queries = await queue_up(batcher, encoder, range(10))
            order = []
            indexing.add_done_callback(lambda _: order.append("indexing"))
            for query in queries:
                query.add_done_callback(lambda _: order.append("query"))
            encoder.gate.set()
            await asyncio.gather(first, indexing, *queries)
            await asyncio.sleep(0)
            assert sorted(order) == ["indexing"] + ["query"] * 10
            assert order[:8] == ["query"] * 8
            assert encoder.batches == batches

    run(scenario())


def test_batches_of_one_alternate_between_queries_and_pictures_to_index():
    async def scenario():
        async with held_batcher(max_batch=1) as (encoder, batcher, first):
            prepared = [encoder.prepare(waves(seed)) for seed in range(4)]
            order = []
            callers = [first]
            for name, is_query in (("index", False), ("query", True)):
                for one in prepared:
                    caller = asyncio.create_task(batcher.encode_many([one], is_query=is_query))
                    caller.add_done_callback(lambda _, name=name: order.append(name))
                    callers.append(caller)
            async with asyncio.timeout(10):
                while batcher.waiting < 8:  # noqa: ASYNC110 - a poll with a deadline
                    await asyncio.sleep(0)
            encoder.gate.set()
            await asyncio.gather(*callers)
            await asyncio.sleep(0)
            assert order == ["index", "query"] * 4  # the one in hand was a query
            assert encoder.batches == [1] * 9

    run(scenario())


def test_few_pictures_to_index_get_no_more_than_a_quarter_however_long_they_wait(monkeypatch):
    monkeypatch.setattr(batching, "PATIENCE_S", 0.0)

    async def scenario():
        async with held_batcher(max_batch=8) as (encoder, batcher, first):
            pictures = [encoder.prepare(waves(seed)) for seed in range(4)]
            indexing = asyncio.create_task(batcher.encode_many(pictures, is_query=False))
            async with asyncio.timeout(10):
                while batcher.waiting < 4:  # noqa: ASYNC110 - a poll with a deadline
                    await asyncio.sleep(0)
                queries = await queue_up(batcher, encoder, range(24))
            done = []
            for query in queries:
                query.add_done_callback(lambda _: done.append("query"))
            indexing.add_done_callback(lambda _: done.append("indexing"))
            encoder.gate.set()
            await asyncio.gather(first, indexing, *queries)
            await asyncio.sleep(0)
            # Two of the four in each of the first two batches.
            assert done.index("indexing") >= 6
            assert encoder.batches == [1, 8, 8, 8, 4]

    run(scenario())


def test_each_queue_has_room_of_its_own():
    async def scenario():
        async with held_batcher(max_waiting=2) as (encoder, batcher, _):
            pictures = [encoder.prepare(waves(seed)) for seed in range(2)]
            indexing = asyncio.create_task(batcher.encode_many(pictures, is_query=False))
            queries = await queue_up(batcher, encoder, range(2))
            with pytest.raises(Overloaded):
                await batcher.encode_many(pictures[:1], is_query=False)
            with pytest.raises(Overloaded):
                await batcher.encode(pictures[0])
            encoder.gate.set()
            assert len(await indexing) == len(await asyncio.gather(*queries)) == 2

    run(scenario())
