"""Archives are read entry by entry: sound ones whole, hostile ones refused in bounded time and memory."""

import io
import os
import random
import tarfile
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import ArchiveRefused, EntryRefused, ImageTooLarge, LookalikeError
from app.images.archives import kind_of, list_archive, unpack_gzip
from app.images.entries import ArchiveLimits, Entry, RefusedEntry, read_entry
from app.images.zip_entries import _Extents
from tests.fixtures.archives import (
    lying_zip,
    overlapping_zip,
    tar_of,
    tar_with_links,
    zip_of,
    zip_with_link,
)

LIMITS = ArchiveLimits()
MAX = 1_000_000


def listed(content: bytes, limits: ArchiveLimits = LIMITS) -> list[Entry | RefusedEntry]:
    return list(list_archive(io.BytesIO(content), limits))


def read_all(content: bytes) -> dict[str, bytes]:
    return {e.name: read_entry(io.BytesIO(content), e, MAX) for e in listed(content) if isinstance(e, Entry)}


def refusals(content: bytes) -> dict[str, str]:
    return {e.name: e.error.detail for e in listed(content) if isinstance(e, RefusedEntry)}


FILES = {
    "a.jpg": b"one",
    "deep/er/b ü.png": random.Random(1).randbytes(200_000),
    f"{'n' * 150}/{'m' * 120}.jpg": b"",
    "z": b"z",
}


@pytest.mark.parametrize(
    "archive",
    [
        zip_of(FILES),
        zip_of(FILES, zipfile.ZIP_STORED),
        tar_of(FILES),
        tar_of(FILES, form=tarfile.GNU_FORMAT),
    ],
)
def test_a_sound_archive_is_read_whole(archive):
    assert read_all(archive) == FILES


def test_a_plain_old_tar_is_read():
    files = {"a.jpg": b"one", f"{'d' * 90}/{'e' * 60}.jpg": b"two"}

    assert read_all(tar_of(files, form=tarfile.USTAR_FORMAT)) == files


def test_a_zip_of_large_sizes_is_read():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open("a.jpg", "w", force_zip64=True) as entry:
        entry.write(b"content")

    assert read_all(out.getvalue()) == {"a.jpg": b"content"}


def test_a_gzip_is_unpacked_first():
    packed = tar_of(FILES, "w:gz")
    target = io.BytesIO()

    assert kind_of(io.BytesIO(packed)) == "gzip"
    unpack_gzip(io.BytesIO(packed), target, LIMITS)

    assert read_all(target.getvalue()) == FILES


def test_folders_hidden_files_and_a_macs_extras_are_passed_over():
    names = ["folder/", ".hidden.jpg", "a/.b/c.jpg", "__MACOSX/a.jpg", "./ok.jpg"]

    assert list(read_all(zip_of(dict.fromkeys(names, b"")))) == ["ok.jpg"]
    assert list(read_all(tar_of({n: b"" for n in names if not n.endswith("/")}))) == ["ok.jpg"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../b.jpg", "C:\\x.jpg", "..\\x.jpg"])
def test_a_name_that_leads_out_is_refused_and_the_rest_is_read(name):
    for archive in (zip_of({name: b"x", "ok.jpg": b"y"}), tar_of({name: b"x", "ok.jpg": b"y"})):
        assert read_all(archive) == {"ok.jpg": b"y"}
        [detail] = refusals(archive).values()
        assert detail == "the entry's name leads out of the archive"


def test_links_and_devices_are_refused():
    assert set(refusals(zip_with_link())) == {"link.jpg"}
    assert set(refusals(tar_with_links())) == {"s.jpg", "h.jpg", "d.jpg"}


def test_entries_that_overlap_are_refused():
    with pytest.raises(ArchiveRefused, match="overlap"):
        listed(overlapping_zip(), ArchiveLimits(max_ratio=10_000))


@given(st.lists(st.tuples(st.integers(0, 600), st.integers(30, 80)), max_size=12), st.randoms())
def test_entries_overlap_exactly_if_two_of_them_share_a_byte(lengths, chance):
    """Laid one behind the other with gaps, in any order; then one is moved, which may or may not overlap."""
    place, entries = 0, []
    for gap, length in lengths:
        entries.append((place + gap % 40, place + gap % 40 + length))
        place = entries[-1][1]
    if entries and chance.random() < 0.5:
        start, end = entries.pop()
        moved = chance.randrange(place)
        entries.append((moved, moved + end - start))
    if chance.random() < 0.5:
        chance.shuffle(entries)
    share = any(a[0] < b[1] and b[0] < a[1] for i, a in enumerate(entries) for b in entries[:i])
    extents = _Extents(10_000)
    for start, end in entries:
        extents.add(start, end)

    if share:
        with pytest.raises(ArchiveRefused, match="overlap"):
            extents.check()
    else:
        extents.check()


def test_an_entry_that_unpacks_to_more_than_it_says_is_refused():
    [entry] = listed(lying_zip())

    with pytest.raises(EntryRefused):
        read_entry(io.BytesIO(lying_zip()), entry, MAX)


def test_an_entry_packed_a_hundredfold_is_refused():
    assert "a.jpg" in refusals(zip_of({"a.jpg": b"\0" * 1_000_000}))


def test_a_large_entry_is_refused_before_it_is_unpacked():
    content = random.Random(0).randbytes(50_000)
    [entry] = listed(zip_of({"a.jpg": content}))

    with pytest.raises(ImageTooLarge):
        read_entry(io.BytesIO(b""), entry, 40_000)


@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_too_many_files_or_bytes_refuse_the_archive(make):
    archive = make({f"{i}.jpg": b"0123456789" for i in range(20)})

    with pytest.raises(ArchiveRefused, match="more than 10 files"):
        listed(archive, ArchiveLimits(max_entries=10))
    with pytest.raises(ArchiveRefused, match="more than 100 bytes"):
        listed(archive, ArchiveLimits(max_unpacked_bytes=100))


def test_a_gzip_bomb_is_cut_off():
    bomb = tar_of({"a.jpg": b"\0" * 200_000_000}, "w:gz")
    target = io.BytesIO()

    with pytest.raises(ArchiveRefused):
        unpack_gzip(io.BytesIO(bomb), target, LIMITS)
    assert target.tell() < 30_000_000


def test_a_tar_whose_header_has_a_negative_size_ends():
    header = bytearray(tar_of({"a.jpg": b"x"}, form=tarfile.GNU_FORMAT)[:512])
    header[124:136] = b"\xff" * 12
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()

    with pytest.raises(ArchiveRefused):
        listed(bytes(header) + b"\0" * 1024)


@pytest.mark.parametrize("content", [b"", b"hello" * 200, b"PK\x03\x04", b"PK\x05\x06" + b"\0" * 10])
def test_what_is_no_archive_is_refused(content):
    with pytest.raises(ArchiveRefused):
        listed(content)


@given(st.data())
@settings(max_examples=int(os.environ.get("GENTEST_EXAMPLES", "150")), deadline=None)
def test_a_damaged_archive_is_refused_or_read_but_nothing_else(data):
    whole = bytearray(data.draw(st.sampled_from([zip_of(FILES), tar_of(FILES), tar_of({"a": b"x"})])))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    content = bytes(whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole)

    try:
        for entry in listed(content):
            if isinstance(entry, Entry):
                read_entry(io.BytesIO(content), entry, MAX)
    except LookalikeError:
        pass


def test_listing_takes_little_memory_however_many_files():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for i in range(20_000):
            archive.writestr(f"{i}.jpg", b"x")
    whole = out.getvalue()
    tracemalloc.start()

    count = sum(1 for _ in list_archive(io.BytesIO(whole), ArchiveLimits(max_entries=20_000)))

    peak = tracemalloc.get_traced_memory()[1] - len(whole)
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 100_000


def test_archives_of_a_corpus_are_refused_or_read():
    folder = os.environ.get("LOOKALIKE_TEST_CORPUS_DIR")
    made = [overlapping_zip(), lying_zip(), zip_with_link(), tar_with_links()]
    if folder is not None:
        with zipfile.ZipFile(Path(folder) / "hostile.zip") as corpus:
            made += [corpus.read(n) for n in corpus.namelist() if n.endswith((".zip", ".tar"))]

    for content in made:
        with suppress(ArchiveRefused):
            for entry in listed(content):
                if isinstance(entry, Entry):
                    assert ".." not in entry.name.split("/")
                    assert not entry.name.startswith("/")
                    with suppress(EntryRefused, ImageTooLarge):
                        read_entry(io.BytesIO(content), entry, MAX)
