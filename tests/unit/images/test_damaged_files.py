"""Whatever a file holds, decoding it gives a picture or a refusal, and no other error."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.errors import PictureRefused
from app.images.containers.jpeg import parse_jpeg
from app.images.decoding import decode_in_process
from app.images.sniff import Limits, sniff
from tests.fixtures.mutations import mutated, originals

LIMITS = Limits(max_bytes=1_000_000, max_pixels=1_000_000)
STARTS = sorted({content[:16] for content in originals()})


@given(st.sampled_from(STARTS), st.binary(max_size=2_000))
def test_any_bytes_behind_a_signature_are_a_format_or_a_refusal(start, rest):
    try:
        found = sniff(start + rest, LIMITS)
    except PictureRefused:
        return
    assert found.media_type.startswith("image/")


@given(
    st.lists(st.sampled_from([bytes([0xFF, n]) for n in range(256)] + [b"\x00\x04ab", b"\x00"]), max_size=300)
)
def test_any_markers_are_parsed_within_the_file(parts):
    content = b"\xff\xd8" + b"".join(parts)
    jpeg = parse_jpeg(content, max_scans=64)
    assert all(0 <= start < end <= len(content) for start, end in jpeg.kept)
    assert jpeg.end is None or content[jpeg.end - 1] == 0xD9


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_damaged_pictures_are_decoded_or_refused(seed):
    for content in mutated(11, seed=seed):
        try:
            decoded = decode_in_process(content, LIMITS)
        except PictureRefused:
            continue
        assert decoded.pixels.ndim == 3
        assert decoded.pixels.shape[2] == 3
        assert decoded.width * decoded.height <= 6 * LIMITS.max_pixels


def test_the_originals_are_pictures():
    for content in originals():
        assert decode_in_process(content, LIMITS).width in {48, 64}


@pytest.mark.parametrize("seed", range(3))
def test_equal_seeds_damage_equally(seed):
    assert list(mutated(22, seed=seed)) == list(mutated(22, seed=seed))
