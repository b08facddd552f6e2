"""Length-prefixed messages between the decoder and its child processes."""

import itertools
import json
import os
import select
import struct
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from app.domain import errors
from app.images.decoding import Crop, DecodedImage

Bytes = bytes | bytearray | memoryview
Outcome = DecodedImage | errors.PictureRefused
"""The result for one file: a decoded picture or a refusal."""

NEEDED: Final = "needed_bytes"
"""Key of the header with which a child asks for memory."""
GRANTED: Final = {"granted": True}
"""Header of the reply."""
_LENGTHS: Final = struct.Struct("<IQ")
_MAX_PARTS: Final = 64
"""Buffers per ``writev`` call; the system allows 1,024."""
_REFUSALS: Final = {
    kind.code: kind
    for kind in (
        errors.NotAnImage,
        errors.UnsupportedFormat,
        errors.ImageTooLarge,
        errors.ImageTooManyPixels,
        errors.ImageTooManyScans,
        errors.DecodeTimeout,
    )
}


class ChildDied(Exception):
    """The other end closed the pipe before or within a message."""


class Late(Exception):
    """The other end did not read or write in time."""


def without_traceback(refused: errors.PictureRefused) -> errors.PictureRefused:
    """Return a refusal as a value: its traceback would keep the file in memory as long as the refusal."""
    refused.__context__ = refused.__cause__ = None
    return refused.with_traceback(None)


def send(pipe: int, deadline: float, head: dict[str, Any], body: Sequence[Bytes] = ()) -> None:
    """Write a message to a pipe.

    Args:
        pipe: File descriptor.
        deadline: Time on the monotonic clock in seconds; applies to non-blocking pipes.
        head: JSON header of the message.
        body: Parts of the body, which are concatenated.

    Raises:
        Late: The other end has not read the whole message by ``deadline``.
        ChildDied: The other end is closed.
    """
    encoded = json.dumps(head).encode()
    start = _LENGTHS.pack(len(encoded), sum(memoryview(part).nbytes for part in body)) + encoded
    left = [memoryview(part).cast("B") for part in (start, *body)]
    while left:
        try:
            written = os.writev(pipe, left[:_MAX_PARTS])
        except BlockingIOError:
            _wait(pipe, select.POLLOUT, deadline)
            continue
        except BrokenPipeError as error:
            raise ChildDied from error
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if left:
            left[0] = left[0][written:]


def receive(pipe: int, deadline: float) -> tuple[dict[str, Any], bytearray]:
    """Read a message from a pipe.

    Raises:
        Late: The message was not complete by ``deadline``, a time on the monotonic clock in seconds; raised
            only for non-blocking pipes.
        ChildDied: The other end is closed.
    """
    head_length, body_length = _LENGTHS.unpack(_exactly(pipe, _LENGTHS.size, deadline))
    head: dict[str, Any] = json.loads(_exactly(pipe, head_length, deadline))
    return head, _exactly(pipe, body_length, deadline)


def _exactly(pipe: int, length: int, deadline: float) -> bytearray:
    content = bytearray(length)
    left = memoryview(content)
    while left:
        try:
            read = os.readv(pipe, [left])
        except BlockingIOError:
            _wait(pipe, select.POLLIN, deadline)
            continue
        if read == 0:
            raise ChildDied
        left = left[read:]
    return content


def _wait(pipe: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(pipe, event)
    if not poll.poll(max(0.0, (deadline - time.monotonic()) * 1e3)):
        raise Late


def make_request(contents: Sequence[bytes], crop: Crop | None) -> tuple[dict[str, Any], Sequence[Bytes]]:
    """Return the header and body of a request to decode files."""
    return {"crop": crop, "lengths": [len(content) for content in contents]}, contents


def parse_request(head: dict[str, Any], body: Bytes) -> tuple[list[Bytes], Crop | None]:
    """Return the files and the crop of a request."""
    crop = head["crop"]
    return _cut(body, head["lengths"]), None if crop is None else (crop[0], crop[1], crop[2], crop[3])


def make_answer(outcomes: Sequence[Outcome]) -> tuple[dict[str, Any], Sequence[Bytes]]:
    """Return the header and body of an answer with the outcome of each file."""
    body = [np.ascontiguousarray(one.pixels).data if isinstance(one, DecodedImage) else b"" for one in outcomes]
    heads = [_head_of(one) for one in outcomes]
    return {"lengths": [memoryview(part).nbytes for part in body], "pictures": heads}, body


def parse_answer(head: dict[str, Any], body: Bytes) -> list[Outcome]:
    """Return the outcome of each file in an answer."""
    return [
        _outcome_of(one, part) for one, part in zip(head["pictures"], _cut(body, head["lengths"]), strict=True)
    ]


def _cut(body: Bytes, lengths: Sequence[int]) -> list[Bytes]:
    ends = list(itertools.accumulate(lengths))
    return [memoryview(body)[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def _head_of(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, errors.PictureRefused):
        return {"refused": outcome.code, "detail": outcome.detail}
    return {
        "shape": outcome.pixels.shape,
        "width": outcome.width,
        "height": outcome.height,
        "format": outcome.format,
        "media_type": outcome.media_type,
        "is_blank": outcome.is_blank,
    }


def _outcome_of(head: dict[str, Any], body: Bytes) -> Outcome:
    if "refused" in head:
        return _REFUSALS[head["refused"]](head["detail"])
    pixels = np.frombuffer(body, np.uint8).reshape(head["shape"])
    return DecodedImage(
        pixels, head["width"], head["height"], head["format"], head["media_type"], head["is_blank"]
    )
