"""What the decoder and its children say to each other, each message behind its length."""

import json
import os
import select
import struct
import time
from typing import IO, Any, Final

import numpy as np

from app.domain import errors
from app.images.decoding import Crop, DecodedImage

_LENGTHS: Final = struct.Struct("<IQ")
_REFUSALS: Final = {
    kind.code: kind
    for kind in (
        errors.NotAnImage,
        errors.ImageTooLarge,
        errors.ImageTooManyPixels,
        errors.ImageTooManyScans,
        errors.DecodeTimeout,
    )
}


class ChildDied(Exception):
    """The other end is gone in the middle of a message, or before it."""


class Late(Exception):
    """The other end did not read or answer in time."""


def send(pipe: IO[bytes], head: dict[str, Any], body: bytes = b"") -> None:
    """Write a message: a JSON head, and a body of bytes."""
    pipe.write(_start_of(head, body))
    pipe.write(body)
    pipe.flush()


def receive(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Read a message.

    Raises:
        ChildDied: The pipe ended.
    """
    head_length, body_length = _LENGTHS.unpack(_exactly(pipe, _LENGTHS.size))
    head: dict[str, Any] = json.loads(_exactly(pipe, head_length))
    return head, _exactly(pipe, body_length)


def _exactly(pipe: IO[bytes], length: int) -> bytes:
    content = pipe.read(length)
    if len(content) != length:
        raise ChildDied
    return content


def send_until(pipe: int, deadline: float, head: dict[str, Any], body: bytes) -> None:
    """Write a message to a pipe that does not block.

    Args:
        pipe: Its descriptor.
        deadline: Moment of the monotonic clock, in seconds.
        head: What goes before the body.
        body: Bytes.

    Raises:
        Late: The other end has not read it whole by then.
        ChildDied: The other end is closed.
    """
    for part in (memoryview(_start_of(head, body)), memoryview(body)):
        left = part
        while left:
            try:
                left = left[os.write(pipe, left) :]
            except BlockingIOError:
                _wait(pipe, select.POLLOUT, deadline)
            except BrokenPipeError as error:
                raise ChildDied from error


def receive_until(pipe: int, deadline: float) -> tuple[dict[str, Any], bytearray]:
    """Read a message from a pipe that does not block.

    Raises:
        Late: It has not come whole by ``deadline``, a moment of the monotonic clock, in seconds.
        ChildDied: The pipe ended.
    """
    head_length, body_length = _LENGTHS.unpack(_exactly_until(pipe, _LENGTHS.size, deadline))
    head: dict[str, Any] = json.loads(_exactly_until(pipe, head_length, deadline))
    return head, _exactly_until(pipe, body_length, deadline)


def _exactly_until(pipe: int, length: int, deadline: float) -> bytearray:
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


def _start_of(head: dict[str, Any], body: bytes) -> bytes:
    encoded = json.dumps(head).encode()
    return _LENGTHS.pack(len(encoded), len(body)) + encoded


def request_of(content: bytes, crop: Crop | None) -> tuple[dict[str, Any], bytes]:
    """The message that asks for a picture."""
    return {"crop": crop}, content


def answer_of(picture: DecodedImage) -> tuple[dict[str, Any], bytes]:
    """The message that holds a picture."""
    head = {
        "shape": picture.pixels.shape,
        "width": picture.width,
        "height": picture.height,
        "format": picture.format,
        "media_type": picture.media_type,
    }
    return head, np.ascontiguousarray(picture.pixels).tobytes()


def refusal_of(error: errors.PictureRefused) -> tuple[dict[str, Any], bytes]:
    """The message that says why there is no picture."""
    return {"refused": error.code, "detail": error.detail}, b""


def picture_of(head: dict[str, Any], body: bytes | bytearray) -> DecodedImage:
    """The picture that an answer holds.

    Raises:
        PictureRefused: It holds none.
    """
    if "refused" in head:
        raise _REFUSALS[head["refused"]](head["detail"])
    pixels = np.frombuffer(body, np.uint8).reshape(head["shape"])
    return DecodedImage(pixels, head["width"], head["height"], head["format"], head["media_type"])
