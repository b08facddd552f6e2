"""The kernels are right on processors without the instructions that make them quick."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

COMPARE = """
import numpy as np
from app.index import planner
from app.index.collection_index import CollectionIndex
from app.index.distance_kernels import _minima_1
from tests.oracles.ranking import ranking
from tests.unit.index.pictures import delta_of, integers, pairs, random_codes

planner.TRIAL_SHARE = planner.TOTAL_SHARE = 1_000
for bits in (16, 64, 128, 192, 256):
    rng = np.random.default_rng(bits)
    codes = random_codes(rng, 2_100, bits)
    codes[1_000:1_900] = codes[:900]
    index = CollectionIndex(bits, hash_from=1, min_use=0)
    index.load(np.arange(2_100), codes, 1)
    index.put_filter("f", np.arange(0, 2_100, 2), 1)
    index.apply(delta_of(2, bits, deleted=range(40, 90)))
    pictures = {n: c for n, c in enumerate(integers(codes)) if not 40 <= n < 90}
    even = {n: c for n, c in pictures.items() if n % 2 == 0}
    for _ in ("scanned", "from tables"):
        for query in (3, 50, 2_000):
            for key, allowed in ((None, pictures), ("f", even)):
                found = index.view().search(codes[query], 9, filter_key=key)
                assert pairs(found) == ranking(allowed, integers(codes)[query], 9), (bits, query, key)
        index.build_engines()
wide = sum("zmm" in code for code in _minima_1.inspect_asm().values())
print("right", wide)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="these are x86 processors")
@pytest.mark.parametrize(
    "processor",
    [
        {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
        {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": "+avx2,+popcnt,-avx512f"},
    ],
    ids=["generic", "avx2"],
)
def test_answers_are_the_oracles_without_wide_instructions(processor, tmp_path):
    root = Path(__file__).resolve().parents[3]
    environment = os.environ | processor | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(root)}

    done = subprocess.run(
        [sys.executable, "-c", COMPARE], cwd=root, env=environment, capture_output=True, text=True, check=False
    )

    assert done.stdout == "right 0\n", done.stderr
