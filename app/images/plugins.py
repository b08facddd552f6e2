"""Pillow's plugins and settings, for every process that decodes."""

import pillow_heif
from PIL import Image, ImageFile
from pillow_jxl import JpegXLImagePlugin


def register() -> None:
    """Register the plugins that Pillow does not bring, and have it refuse what it must not guess."""
    # One thread each: a pool takes address space, and children run side by side anyway.
    pillow_heif.options.DECODE_THREADS = 1
    pillow_heif.options.THUMBNAILS = False
    pillow_heif.options.DEPTH_IMAGES = False
    pillow_heif.options.AUX_IMAGES = False
    pillow_heif.register_heif_opener()
    JpegXLImagePlugin.DECODE_THREADS = 0
    # A truncated file must be refused, never padded with grey: its code would be that of another picture.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    # Pixels are counted before any is decoded, against a limit of the format's own.
    Image.MAX_IMAGE_PIXELS = None
