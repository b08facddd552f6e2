"""The sample gallery: pictures that the project draws itself, so that it can ship them."""

from app.gallery.gallery import SamplePicture, draw_gallery

__all__ = ["SamplePicture", "draw_gallery"]
