"""Archives are read entry by entry: sound ones whole, hostile ones refused in bounded time and memory."""

import io
import os
import random
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import ArchiveRefused, EntryRefused, ImageTooLarge, LookalikeError
from app.images.archives import kind_of, list_archive, unpack_gzip
from app.images.entries import ArchiveLimits, Entry, IgnoredEntry, ListedEntry, RefusedEntry, read_entry
from app.images.zip_entries import _Extents
from tests.fixtures.archives import (
    lying_zip,
    overlapping_zip,
    raw_zip,
    streamed_zip_of,
    tar_of,
    tar_with_links,
    zip64_of,
    zip_of,
    zip_with_link,
)

LIMITS = ArchiveLimits()
MAX = 1_000_000


def listed(content: bytes, limits: ArchiveLimits = LIMITS) -> list[ListedEntry]:
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


def test_hidden_files_and_what_systems_leave_in_folders_are_ignored_and_counted():
    ignored = [
        ".hidden.jpg",
        "a/.b/c.jpg",
        "__MACOSX/a.jpg",
        "a/__MACOSX/._b.jpg",
        "a/._b.jpg",
        "a/.DS_Store",
        "a/Thumbs.db",
        "desktop.ini",
    ]
    files = dict.fromkeys([*ignored, "./ok.jpg"], b"")

    for archive in (zip_of(files | {"folder/": b""}), tar_of(files)):
        assert list(read_all(archive)) == ["ok.jpg"]
        assert refusals(archive) == {}
        assert sum(isinstance(entry, IgnoredEntry) for entry in listed(archive)) == len(ignored)


@pytest.mark.parametrize("name", ["1:1 crop.jpg", "a: first.jpg", "set/4:3.jpg", "C: drive.jpg", "..a/b..jpg"])
def test_a_colon_or_dots_in_a_name_lead_nowhere(name):
    for archive in (zip_of({name: b"x"}), tar_of({name: b"x"})):
        assert [e.name for e in listed(archive) if isinstance(e, Entry)] == ([] if name[0] == "." else [name])
        assert refusals(archive) == {}


def unicode_path(shown: bytes, real: str) -> bytes:
    return struct.pack("<HHBI", 0x7075, 5 + len(real.encode()), 1, zlib.crc32(shown)) + real.encode()


@pytest.mark.parametrize(
    ("raw", "extra", "flags", "name"),
    [
        ("Schöne Blüten/a.jpg".encode(), b"", 0, "Schöne Blüten/a.jpg"),
        ("東京/a.jpg".encode(), b"", 0, "東京/a.jpg"),
        ("東京/a.jpg".encode(), b"", 0x800, "東京/a.jpg"),
        ("Käse/a.jpg".encode("cp437"), b"", 0, "Käse/a.jpg"),
        (b"K?se/a.jpg", unicode_path(b"K?se/a.jpg", "Käse/a.jpg"), 0, "Käse/a.jpg"),
        (b"renamed.jpg", unicode_path(b"K?se/a.jpg", "Käse/a.jpg"), 0, "renamed.jpg"),
        (b"K\xe4se.jpg", b"", 0x800, r"K\xe4se.jpg"),
        (b"a\nb\x00c.jpg", b"", 0, r"a\nb\x00c.jpg"),
    ],
)
def test_names_in_a_zip_are_read_as_they_were_meant_and_escaped_where_they_cannot_be_kept(
    raw, extra, flags, name
):
    archive = raw_zip((raw, b"content"), extra=extra, flags=flags)

    assert read_all(archive) == {name: b"content"}


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_names_in_a_tar_are_utf8_or_escaped(form):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, encoding="latin-1") as archive:
        archive.addfile(tarfile.TarInfo("Käse.jpg"), io.BytesIO())

    expected = "Käse.jpg" if form == tarfile.PAX_FORMAT else r"K\xe4se.jpg"
    assert list(read_all(out.getvalue())) == [expected]
    assert list(read_all(tar_of({"Käse/東京.jpg": b""}, form=form))) == ["Käse/東京.jpg"]


def test_a_very_long_name_is_shortened():
    [name] = read_all(zip_of({f"{'n' * 5_000}/last.jpg": b"x"}))

    assert len(name) == 2_048
    assert name.endswith("/last.jpg")


@pytest.mark.parametrize("before", [b"#!/bin/sh\nexit\n", b"\xff\xd8\xff\xe0" + bytes(100_000), b"MZ" * 500])
@pytest.mark.parametrize("whole", [zip_of(FILES), zip64_of(FILES), streamed_zip_of(FILES)])
def test_a_zip_behind_other_bytes_is_read(before, whole):
    assert kind_of(io.BytesIO(before + whole)) == "zip"
    assert read_all(before + whole) == FILES
    assert read_all(whole) == FILES


def test_a_zip_is_read_whatever_follows_its_end():
    whole = zip_of(FILES)

    assert read_all(whole + b"PK\x05\x06" + b"x" * 30) == FILES
    assert read_all(whole + bytes(2_000)) == FILES


@pytest.mark.slow
def test_more_entries_than_the_end_record_can_count_are_read():
    files = {f"{i}.jpg": b"" for i in range(0x10003)}
    whole = bytearray(zip_of(files, zipfile.ZIP_STORED))
    # As a Mac writes it: the remainder of the count, and no zip64 record.
    directory = whole.index(b"PK\x01\x02")
    end64 = whole.rindex(b"PK\x06\x06")
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 3, 3, end64 - directory, directory, 0)

    entries = listed(bytes(whole[:end64]) + end, ArchiveLimits(max_entries=100_000))

    assert len(entries) == len(files)


def test_an_entry_that_is_not_where_the_directory_says_is_refused_alone():
    whole = bytearray(zip_of({"a.jpg": b"one", "b.jpg": b"two"}, zipfile.ZIP_STORED))
    whole[whole.index(b"PK\x03\x04", 4)] = 0

    assert read_all(bytes(whole)) == {"a.jpg": b"one"}
    assert "pack it again" in refusals(bytes(whole))["b.jpg"]


def test_an_encrypted_entry_and_an_unknown_method_are_named():
    encrypted = raw_zip((b"a.jpg", b"x"), (b"b.jpg", b"y"), flags=1)
    packed = zip_of({"a.jpg": bytes(100)}, zipfile.ZIP_LZMA)

    assert set(refusals(encrypted)) == {"a.jpg", "b.jpg"}
    assert "without a password" in refusals(encrypted)["a.jpg"]
    assert "LZMA" in refusals(packed)["a.jpg"]


def test_other_archives_are_named():
    with pytest.raises(ArchiveRefused, match="7z"):
        kind_of(io.BytesIO(b"7z\xbc\xaf\x27\x1c" + bytes(1_000)))


def test_what_follows_a_gzip_is_passed_over():
    target = io.BytesIO()

    unpack_gzip(io.BytesIO(tar_of(FILES, "w:gz") + b"trailing"), target, LIMITS)

    assert read_all(target.getvalue()) == FILES


def test_a_tar_older_than_posix_is_read():
    header = bytearray(tar_of({"a.jpg": b"x"}, form=tarfile.USTAR_FORMAT)[:512])
    header[257:512] = bytes(255)
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()

    assert read_all(bytes(header) + b"x" + bytes(1_535)) == {"a.jpg": b"x"}


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
    kinds = [(zip_of(FILES), FILES), (tar_of(FILES), FILES), (tar_of({"a": b"x"}), {"a": b"x"})]
    archive, files = data.draw(st.sampled_from(kinds))
    whole = bytearray(archive)
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    content = bytes(whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole)

    read, refused = [], []
    try:
        for entry in listed(content):
            if isinstance(entry, Entry):
                read.append((entry, read_entry(io.BytesIO(content), entry, MAX)))
            elif isinstance(entry, RefusedEntry):
                refused.append(entry.error)
    except LookalikeError as error:
        refused.append(error)

    # What was read is what the archive says it is, and whatever was not is refused in words.
    for entry, octets in read:
        assert not entry.name.startswith("/")
        assert ".." not in entry.name.split("/")
        assert len(octets) == entry.size <= MAX
        assert entry.crc in (None, zlib.crc32(octets))
    assert all(error.detail for error in refused)
    if content == archive:
        assert not refused
        assert {entry.name: octets for entry, octets in read} == files


@pytest.mark.slow
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


@pytest.mark.real_pictures
def test_archives_of_a_corpus_are_refused_or_read():
    folder = os.environ.get("LOOKALIKE_TEST_CORPUS_DIR")
    made = [overlapping_zip(), lying_zip(), zip_with_link(), tar_with_links(), zip_of({"sound.jpg": b"x"})]
    read = []
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
                        octets = read_entry(io.BytesIO(content), entry, MAX)
                        assert len(octets) == entry.size <= MAX
                        read.append(entry.name)
    assert "sound.jpg" in read
