"""``lookalike index`` and ``demo``: files, folders and archives, failures, Ctrl-C, another run."""

import asyncio
import gzip
import json
import os
import signal
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from app.cli.gallery import adding
from app.cli.gallery.adding import Report, add_all, totals
from app.cli.gallery.pictures import FileRefused, PictureFinder
from lookalike_client import AddedItem, AddResponse, NewPicture, ServiceError, TooBusy
from tests.cli.conftest import serving


@pytest.fixture
def service(data_dir, settings):
    """A running service on the data folder, so that commands need not load the application."""
    with serving(settings) as url:
        yield url


def test_files_folders_and_archives_are_added_together_and_again(run, service, folder, archive, picture):
    report = run("index", folder, archive, picture, "--json", status=1).document

    # The archive has the folder's pictures again, and so does the picture.
    assert report["counts"] == {"created": 3, "unchanged": 4, "failed": 2, "skipped": 2}
    assert {(f["file"], f["code"]) for f in report["failures"]} == {("damaged.jpg", "not_an_image")}
    assert {(f["file"], f["code"]) for f in report["skipped"]} == {("notes.txt", "not_an_image")}
    again = run("index", folder, status=1)
    assert "3 already there, 1 failed, 1 skipped" in again.stderr
    assert again.rows[0][:2] == ["damaged.jpg", "not_an_image"]


def read_or_name(reader) -> NewPicture | str:
    try:
        return reader()
    except FileRefused as refused:
        return refused.name


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_of_each_kind_is_read_with_labels(folder, archive, tmp_path, kind):
    if kind == "zip":
        path = archive
    else:
        path = tmp_path / f"pictures.{kind}"
        with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as tar:
            tar.add(folder, arcname=".")
    with PictureFinder(max_bytes=10_000_000) as finder:
        readers = finder.find([path])
        read = [file for reader in readers if (file := read_or_name(reader)) != "notes.txt"]

    assert len(read) == 4  # hidden.jpg is ignored
    for file in read:
        label = Path(file.uri).parent.name
        assert file.metadata == ({"label": label} if label else None)


def test_an_archive_is_recognised_without_its_name(archive, tmp_path):
    plain = tmp_path / "download"
    plain.write_bytes(archive.read_bytes())
    with PictureFinder(max_bytes=10_000_000) as finder:
        assert len(finder.find([plain])) == 5


@pytest.mark.parametrize(
    "content",
    [b"PK\x03\x04 damaged", gzip.compress(b"no tar"), b"Rar!\x1a\x07\x00 other"],
    ids=["zip", "gzip", "rar"],
)
def test_a_damaged_archive_is_a_failure_with_a_reason_and_the_rest_is_added(
    run, service, picture, tmp_path, content
):
    bad = tmp_path / "bad.zip"
    bad.write_bytes(content)
    report = run("index", bad, picture, "--json", status=1).document
    assert report["counts"] == {"failed": 1, "created": 1}
    assert report["failures"][0]["code"] == "archive_refused"


def test_a_file_over_the_limit_is_not_sent(picture, tmp_path):
    large = tmp_path / "large.jpg"
    large.write_bytes(picture.read_bytes() + bytes(1000))
    with PictureFinder(max_bytes=len(picture.read_bytes())) as finder:
        (reader,) = finder.find([large])
        with pytest.raises(FileRefused, match="LOOKALIKE_MAX_UPLOAD_BYTES") as refused:
            reader()
    assert refused.value.code == "image_too_large"


def test_a_file_that_cannot_be_read_is_a_failure(tmp_path):
    with PictureFinder(max_bytes=1000) as finder:
        (tmp_path / "a.jpg").write_bytes(b"x")
        (reader,) = finder.find([tmp_path / "a.jpg"])
        (tmp_path / "a.jpg").unlink()
        with pytest.raises(FileRefused, match="No such file"):
            reader()


def all_created(pictures) -> AddResponse:
    items = tuple(AddedItem(id=picture.name, status="created") for picture in pictures)
    return AddResponse(items=items, counts={"created": len(items)}, index_version=1)


class SlowService:
    """Takes additions in turn; after the second one, it interrupts this process as Ctrl-C does."""

    def __init__(self, interrupts: int) -> None:
        self.interrupts = interrupts
        self.calls = 0

    async def add_pictures(self, pictures, **_) -> AddResponse:
        self.calls += 1
        if self.calls <= self.interrupts:
            os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.01)
        return all_created(pictures)


def files(count: int):
    return [lambda i=i: NewPicture(b"x", name=f"{i}.jpg") for i in range(count)]


async def add_many(service, count: int, report: Report) -> None:
    await add_all(service, files(count), total=count, collection="default", on_duplicate="skip", report=report)


def test_ctrl_c_ends_after_what_is_on_its_way_and_says_how_to_go_on(capsys):
    service, report = SlowService(interrupts=1), Report()
    asyncio.run(add_many(service, 1000, report))

    assert report.is_interrupted
    assert report.added == report.counts["created"] == 32 * service.calls < 1000
    assert totals(report) == f"{report.added} added; run again to continue"
    assert report.exit_code == 130


def test_a_second_ctrl_c_ends_at_once(capsys):
    report = Report()
    with pytest.raises(SystemExit) as ended:
        run_and_exit(lambda: add_many(SlowService(interrupts=2), 1000, report), report)
    assert ended.value.code == 130
    assert "0 added; run again to continue" in capsys.readouterr().err


def run_and_exit(work, report: Report) -> None:
    try:
        adding.finish(work, report, as_json=True)
    except adding.typer.Exit as ended:
        raise SystemExit(ended.exit_code) from None


class EndingService:
    """Adds one batch and is then unavailable."""

    def __init__(self) -> None:
        self.calls = 0

    async def add_pictures(self, pictures, **_) -> AddResponse:
        self.calls += 1
        if self.calls > 1:
            raise TooBusy("too many requests", code="overloaded")
        return all_created(pictures)


def test_a_service_that_fails_on_the_way_leaves_the_totals(capsys):
    report = Report()
    with pytest.raises(ServiceError, match="too many requests"):
        adding.finish(lambda: add_many(EndingService(), 1000, report), report, as_json=False)
    assert "32 added so far; run again to continue" in capsys.readouterr().err


def test_totals_are_a_sentence():
    report = Report(Counter({"created": 1234, "unchanged": 1}), took_s=10.0)
    assert totals(report) == "1,234 added, 1 already there in 10.0 s (123 a second)"
    assert totals(Report()) == "nothing to add"


def test_no_empty_line_is_printed_where_there_is_no_progress_bar(run, service, picture):
    assert "" not in run("index", picture).stderr.splitlines()


def test_an_empty_folder_is_no_failure(run, service, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "nothing to add" in run("index", tmp_path / "empty").stderr


def test_a_path_that_does_not_exist_is_a_usage_error(run, tmp_path):
    assert "does not exist" in run("index", tmp_path / "none", status=2).stderr.replace("\n", " ")


def test_an_unknown_collection_is_exit_code_4(run, service, picture):
    assert "unknown_collection" in run("index", picture, "--collection", "none", status=4).stderr


def test_demo_adds_some_samples(run, service):
    report = json.loads(run("demo", "--limit", "2", "--json").stdout)
    assert report["counts"] == {"created": 2}
