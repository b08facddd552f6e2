"""What the decoder and its children say to each other, each message behind its length."""

import json
import struct
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


def send(pipe: IO[bytes], head: dict[str, Any], body: bytes | memoryview = b"") -> None:
    """Write a message: a JSON head, and a body of bytes."""
    encoded = json.dumps(head).encode()
    pipe.write(_LENGTHS.pack(len(encoded), len(body)) + encoded)
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


def picture_of(head: dict[str, Any], body: bytes) -> DecodedImage:
    """The picture that an answer holds.

    Raises:
        PictureRefused: It holds none.
    """
    if "refused" in head:
        raise _REFUSALS[head["refused"]](head["detail"])
    pixels = np.frombuffer(body, np.uint8).reshape(head["shape"])
    return DecodedImage(pixels, head["width"], head["height"], head["format"], head["media_type"])
