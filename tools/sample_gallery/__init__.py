"""The sample gallery: pictures that the project draws itself, so that it can ship them."""

from tools.sample_gallery.gallery import SamplePicture, draw_gallery

__all__ = ["SamplePicture", "draw_gallery"]
