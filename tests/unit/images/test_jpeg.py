"""The structure of a JPEG is found in bounded work, whatever the file holds."""

import pytest

from app.domain.errors import PictureRefused
from app.images.containers import jpeg
from app.images.containers.jpeg import parse_jpeg
from app.images.decoding import decode_in_process
from app.images.sniff import Limits
from tests.fixtures.pictures import encoded, photo

START, END = b"\xff\xd8", b"\xff\xd9"
TABLE = b"\xff\xdb\x00\x02"
SCAN = b"\xff\xda\x00\x02"


@pytest.mark.parametrize("fill", [0, 1, 1_000, 60_000])
def test_fill_bytes_before_a_marker_are_skipped(fill):
    content = START + TABLE + b"\xff" * fill + END
    assert parse_jpeg(content, max_scans=64).end == len(content)


@pytest.mark.parametrize(
    "content",
    [
        START + b"\xff" * 3_000_000,
        START + b"\xff" * 3_000_000 + END,
        START + b"\xff\xd0" * 1_000_000 + END,
        START + b"\xff\x00" * 1_000_000 + END,
        START + b"\xff\xfe\x00\x02" * 500_000 + END,
    ],
    ids=["fill", "fill and end", "restarts", "stuffed bytes", "comments"],
)
def test_a_file_of_nothing_but_markers_ends_early_and_is_no_picture(content):
    assert parse_jpeg(content, max_scans=64).end is None
    with pytest.raises(PictureRefused):
        decode_in_process(content, Limits())


def test_the_number_of_segments_is_bounded():
    assert len(parse_jpeg(START + TABLE * 50_000 + END, max_scans=64).kept) <= jpeg._MAX_MARKERS + 1
    many = START + TABLE * 500 + END
    assert parse_jpeg(many, max_scans=64).end == len(many)


@pytest.mark.parametrize("offset", [0, 1, 15, 16, 17, 31, 32, 100])
@pytest.mark.parametrize("filler", [b"\x00", b"\xff\x00", b"\xff\xd3", b"\xff"])
def test_a_scan_ends_at_the_next_marker_wherever_its_search_is_divided(monkeypatch, offset, filler):
    monkeypatch.setattr(jpeg, "_WINDOW", 16)
    data = (b"\x01" + filler * offset)[: offset + 1] + b"\x01"
    content = START + SCAN + data + END
    found = parse_jpeg(content, max_scans=64)
    assert (found.scans, found.end) == (1, len(content))


def test_a_picture_with_fill_bytes_between_segments_decodes_as_without():
    content = encoded(photo(), "JPEG", progressive=True)
    filled = content.replace(b"\xff\xda", b"\xff" * 100 + b"\xff\xda").replace(b"\xff\xc4", b"\xff\xff\xff\xc4")
    assert len(filled) > len(content)
    assert (decode_in_process(filled, Limits()).pixels == decode_in_process(content, Limits()).pixels).all()
