"""The memory that a picture is said to need is about what decoding it takes, for each format."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.fixtures.pictures import encoded

SIDES = (1_600, 1_200)
SLACK_BYTES = 6_000_000
"""Tables of the decoders, whatever the size of the picture."""

MEASURE = """
import json, sys
from pathlib import Path
from app.images.decoding import decode_in_process
from app.images.sniff import Limits

def status_bytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

for path in sys.argv[1:]:
    content, needs = Path(path).read_bytes(), []
    decode_in_process(content, Limits())  # loads libraries
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak to the present
    before = status_bytes("VmRSS")
    decode_in_process(content, Limits(), on_need=needs.append)
    print(json.dumps([needs, status_bytes("VmHWM") - before]))
"""

KINDS = [
    ("PNG", "L", {}),
    ("PNG", "RGB", {}),
    ("PNG", "RGBA", {}),
    ("PNG", "I;16", {}),
    ("GIF", "P", {}),
    ("GIF", "P", {"transparency": 3}),
    ("WEBP", "RGB", {"lossless": True, "method": 0, "quality": 0}),
    ("WEBP", "RGBA", {"lossless": True, "method": 0, "quality": 0}),
    ("BMP", "RGB", {}),
    ("TIFF", "RGBA", {"compression": "tiff_deflate"}),
    ("TIFF", "CMYK", {"compression": "raw"}),
    ("TIFF", "F", {"compression": "raw"}),
    ("TIFF", "I;16", {"compression": "tiff_lzw"}),
    ("AVIF", "RGB", {"speed": 10}),
    ("JXL", "RGB", {"effort": 1}),
    ("JPEG2000", "L", {"num_resolutions": 1}),
    ("JPEG2000", "RGBA", {"num_resolutions": 1}),
    ("JPEG", "RGB", {"progressive": True, "subsampling": 0}),
    ("JPEG", "RGB", {}),
]


def picture(mode: str) -> Image.Image:
    grey = np.broadcast_to(np.arange(SIDES[1])[:, None] & 0xF0, SIDES[::-1])
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) << 8)
    return Image.fromarray(grey.astype(np.uint8)).convert(mode)


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> list[tuple[list[int], int]]:
    """For each kind, the bytes asked for, and the peak of one process that decodes one after the other."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / str(i) for i in range(len(KINDS))]
    for path, (kind, mode, options) in zip(paths, KINDS, strict=True):
        path.write_bytes(encoded(picture(mode), kind, **options))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, paths)],
        capture_output=True,
        check=True,
        # Memory of an earlier picture that the heap keeps would hide what the next one takes.
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "262144", "OMP_NUM_THREADS": "1"},
    )
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("i", range(len(KINDS)), ids=lambda i: f"{KINDS[i][0]} {KINDS[i][1]} {i}")
def test_decoding_takes_no_more_memory_than_it_asks_for_and_not_far_less(measured, i):
    [needed], peak = measured[i]

    assert peak <= needed + SLACK_BYTES
    assert needed <= 3 * peak + SLACK_BYTES
