"""References are read below the places that an operator named, and nowhere else."""

import itertools
import os

import obstore
import pytest
from obstore.store import MemoryStore

from app.domain.errors import FetchFailed, ImageTooLarge, InvalidRequest, UrlNotAllowed
from app.images.picture_sources import PictureSources

pytestmark = pytest.mark.anyio


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    (root / "in" / ".hidden").mkdir(parents=True)
    (root / "a.jpg").write_bytes(b"a")
    (root / "in" / "b c%.jpg").write_bytes(b"b")
    (root / "in" / ".hidden" / "d.jpg").write_bytes(b"d")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "root-too").mkdir()
    (tmp_path / "root-too" / "secret").write_bytes(b"secret")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "out").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "pipe")
    return root


@pytest.fixture
def places(root) -> PictureSources:
    return PictureSources(root, [], None)


@pytest.mark.parametrize("uri", ["a.jpg", "./a.jpg", "in/../a.jpg", "file://{root}/a.jpg", "{root}/a.jpg"])
async def test_files_below_the_root_are_read(places, root, uri):
    assert await places.read(uri.format(root=root), 100) == b"a"
    assert await places.read("in/b c%.jpg", 100) == b"b"
    assert await places.read(f"file://{root}/in/b%20c%25.jpg", 100) == b"b"


def escapes() -> list[str]:
    """Ways out of a folder: up, around, by links, encoded, absolute, in every mixture."""
    ups = ["..", "../..", "in/../..", "./..", "in/../../", "..//", "out", "out/root/..", "in/../out"]
    ends = ["secret", "root-too/secret", "root/../secret", "../../../../etc/passwd", "etc/passwd"]
    heads = ["", "file:", "file://localhost/", "/", "//"]
    made = [f"{head}{up}/{end}" for head, up, end in itertools.product(heads, ups, ends)]
    return [
        *made,
        "link",
        "/etc/passwd",
        "file:///etc/passwd",
        "/proc/self/environ",
        "\\..\\secret",
        "~/secret",
    ]


async def test_no_path_leads_out_of_the_root(places):
    assert len(escapes()) >= 200
    for uri in escapes():
        with pytest.raises((UrlNotAllowed, FetchFailed)):
            await places.read(uri, 10_000)


async def test_what_is_no_file_is_not_waited_for(places):
    for uri in ("pipe", "in", "none", "loop", "a\0b"):
        with pytest.raises((UrlNotAllowed, FetchFailed)):
            await places.read(uri, 100)


async def test_a_file_that_is_too_large_is_not_read(places, root):
    (root / "large").write_bytes(b"x" * 101)

    with pytest.raises(ImageTooLarge):
        await places.read("large", 100)


def test_a_folder_s_files_are_listed_without_hidden_ones_and_links_to_folders(places):
    assert list(places.files("in")) == ["in/b c%.jpg"]
    assert [f for f in places.files(".") if not f.startswith("in/")] == ["a.jpg", "link", "loop", "pipe"]
    with pytest.raises(UrlNotAllowed):
        list(places.files("out"))
    with pytest.raises(InvalidRequest):
        list(places.files("none"))


async def test_a_folder_that_cannot_be_listed_is_told(places, root, monkeypatch):
    real = os.scandir
    closed = {str(root / "in")}

    def scandir(path):
        if str(path) in closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)

    listed = list(places.files(""))
    assert "a.jpg" in listed
    assert "in" in listed
    with pytest.raises(FetchFailed, match="cannot be listed"):
        await places.read("in", 100)
    closed.add(str(root))
    with pytest.raises(InvalidRequest, match="readable"):
        list(places.files(""))


async def test_nothing_is_read_where_nothing_is_named(root):
    shut = PictureSources(None, [], None)

    for uri in (str(root / "a.jpg"), "a.jpg", "s3://bucket/a.jpg", "https://images.example/a.jpg"):
        with pytest.raises(UrlNotAllowed):
            await shut.read(uri, 100)


@pytest.fixture
def bucket() -> MemoryStore:
    store = MemoryStore()
    for key in ("open/a.jpg", "open/in/b.jpg", "opener/c.jpg", "shut/d.jpg"):
        obstore.put(store, key, key.encode())
    return store


async def test_objects_below_a_prefix_are_listed_and_read(bucket):
    places = PictureSources(None, ["s3://bucket/open"], None, open_store=lambda _: bucket)

    found = [address async for address in places.objects("s3://bucket/open/")]

    assert sorted(found) == ["s3://bucket/open/a.jpg", "s3://bucket/open/in/b.jpg"]
    assert [a async for a in places.objects("s3://bucket/open/in")] == ["s3://bucket/open/in/b.jpg"]
    assert await places.read("s3://bucket/open/in/b.jpg", 100) == b"open/in/b.jpg"
    with pytest.raises(FetchFailed):
        await places.read("s3://bucket/open/none.jpg", 100)
    with pytest.raises(ImageTooLarge):
        await places.read("s3://bucket/open/a.jpg", 3)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/shut/d.jpg",
        "s3://bucket/opener/c.jpg",
        "s3://bucket/open",
        "s3://bucket/open/../shut/d.jpg",
        "s3://bucket/open/in/../../shut/d.jpg",
        "s3://other/open/a.jpg",
        "gs://bucket/open/a.jpg",
    ],
)
async def test_no_object_beside_a_prefix_is_read(bucket, uri):
    places = PictureSources(None, ["s3://bucket/open/"], None, open_store=lambda _: bucket)

    with pytest.raises(UrlNotAllowed):
        await places.read(uri, 100)
