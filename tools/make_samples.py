"""Write the shipped sample gallery, ``app/samples``: drawn pictures and free photographs.

The same bytes on each run with the same Pillow. The photographs are read from scikit-image 0.26.0 and
scikit-learn, which must be installed: ``pip install scikit-image==0.26.0 scikit-learn``.
``python tools/make_samples.py`` from the top of the repository.
"""

import hashlib
import importlib.util
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.samples import FOLDER, INDEX
from tools.sample_gallery import draw_gallery
from tools.sample_gallery.colours import dominant_colour

LONGEST_SIDE: Final = 512
QUALITY: Final = 85


class Photograph(NamedTuple):
    """A photograph in a package, whose licence the package states."""

    label: str
    package: str
    file: str
    licence: str
    origin: str


CC0: Final = "CC0 1.0"
PUBLIC_DOMAIN: Final = "public domain"
PHOTOGRAPHS: Final = (
    Photograph("astronaut", "skimage", "astronaut.png", PUBLIC_DOMAIN, "NASA, https://flic.kr/p/r9qvLn"),
    Photograph("brickwork", "skimage", "brick.png", CC0, "CC0Textures, Bricks25"),
    Photograph("cameraman", "skimage", "camera.png", CC0, "Lav Varshney"),
    Photograph("cat", "skimage", "chelsea.png", CC0, "Stefan van der Walt"),
    Photograph("wall-clock", "skimage", "clock_motion.png", PUBLIC_DOMAIN, "Stefan van der Walt"),
    Photograph("coffee", "skimage", "coffee.png", CC0, "Rachel Michetti"),
    Photograph("grass", "skimage", "grass.png", CC0, "DeviantArt, linolafett, Grass 01"),
    Photograph("gravel", "skimage", "gravel.png", CC0, "CC0Textures, Gravel04"),
    Photograph("galaxies", "skimage", "hubble_deep_field.jpg", PUBLIC_DOMAIN, "NASA, hubblesite.org 2012/37"),
    Photograph("retina", "skimage", "retina.jpg", CC0, "Wikimedia, Fundus photograph of normal left eye"),
    Photograph("rocket", "skimage", "rocket.jpg", PUBLIC_DOMAIN, "SpaceX, flickr.com/photos/spacexphotos"),
    Photograph(
        "pagoda",
        "sklearn",
        "china.jpg",
        "CC BY 2.0",
        "danielbuechele, flickr.com/photos/danielbuechele/6061409035; scaled down",
    ),
)
FOLDERS: Final = {"skimage": "data", "sklearn": "datasets/images"}


def main() -> None:
    """Write the pictures, their index and the photographs' origins."""
    entries = [*_drawn(), *_photographs()]
    INDEX.write_text("[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]\n")
    rows = [
        f"| photographs/{p.label}.jpg | {p.licence} | {p.origin} | {p.package}, {p.file} |" for p in PHOTOGRAPHS
    ]
    (FOLDER / "ORIGINS.md").write_text(
        "# Origins of the sample pictures\n\n"
        "`drawn/` is drawn by `tools/sample_gallery` and is under the licence of this project, Apache-2.0.\n\n"
        "`photographs/` are scaled to at most 512 pixels a side. Licences are as stated in scikit-image's\n"
        "`skimage/data/_fetchers.py` and scikit-learn's `sklearn/datasets/images/README.txt`.\n\n"
        "| File | Licence | Origin | Taken from |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )
    print(f"{len(entries)} pictures, {sum(f.stat().st_size for f in FOLDER.rglob('*.jpg')):,} bytes")


def _drawn() -> Iterator[dict[str, object]]:
    for picture in draw_gallery():
        yield _write(picture.name, f"drawn/{picture.name}.jpg", picture.jpeg, picture.metadata)


def _photographs() -> Iterator[dict[str, object]]:
    for photograph in PHOTOGRAPHS:
        with Image.open(_find(photograph)) as opened:
            picture = opened.convert("RGB")
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=QUALITY)
        brightness = round(float(np.asarray(picture.convert("L"), dtype=np.float64).mean()) / 255, 2)
        metadata = {
            "label": photograph.label,
            "kind": "photograph",
            "colour": dominant_colour(picture),
            "brightness": brightness,
        }
        name = f"photographs/{photograph.label}.jpg"
        yield _write(f"photograph-{photograph.label}", name, file.getvalue(), metadata)


def _find(photograph: Photograph) -> Path:
    spec = importlib.util.find_spec(photograph.package)
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"{photograph.package} is not installed: pip install scikit-image==0.26.0 scikit-learn")
    return Path(next(iter(spec.submodule_search_locations))) / FOLDERS[photograph.package] / photograph.file


def _write(image_id: str, name: str, jpeg: bytes, metadata: object) -> dict[str, object]:
    path = FOLDER / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(jpeg)
    return {"id": image_id, "file": name, "sha256": hashlib.sha256(jpeg).hexdigest(), "metadata": metadata}


if __name__ == "__main__":
    main()
