"""Pillow plugins and settings for every process that decodes."""

import pillow_heif
from PIL import Image, ImageFile
from pillow_jxl import JpegXLImagePlugin


def register() -> None:
    """Register additional Pillow plugins, and make Pillow refuse truncated files."""
    # One thread each: thread pools use address space, and children run in parallel anyway.
    pillow_heif.options.DECODE_THREADS = 1
    pillow_heif.options.THUMBNAILS = False
    pillow_heif.options.DEPTH_IMAGES = False
    pillow_heif.options.AUX_IMAGES = False
    pillow_heif.register_heif_opener()
    JpegXLImagePlugin.DECODE_THREADS = 0
    # A truncated file must be refused: padded with grey, it would get the code of another picture.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    # The service checks pixel counts before decoding, with a limit per format.
    Image.MAX_IMAGE_PIXELS = None
