"""``collections``, ``images``, ``search``, ``compare``, ``export`` and the commands that only print."""

import csv
import errno
import http.server
import json
import threading

import pytest
import typer

from tests.cli.conftest import serving


@pytest.fixture
def stored(data_dir, settings, run, folder):
    """Three pictures in a running service; their ids in order of their uris."""
    with serving(settings):
        run("index", folder, "--json", status=1)
        yield sorted((image["uri"], image["id"]) for image in run("images", "list", "--json").lines)


def test_pictures_are_listed_shown_edited_and_deleted(run, stored):
    (_, first), (_, second), _ = stored
    listed = run("images", "list", "--limit", "2")
    assert len(listed.rows) == 2
    assert listed.rows[0][0].startswith("sha256:")

    label = run("images", "show", first, "--json").document["metadata"]["label"]
    given = ["--set", "year=2024", "--set", "brand=acme", "--tag", "a", "--tag", "b"]
    edited = run("images", "edit", first, *given, "--json").document
    assert edited["metadata"] == {"label": label, "year": 2024, "brand": "acme", "tags": ["a", "b"]}
    again = run(
        "images", "edit", first, "--unset", "brand", "--untag", "a", "--uri", "new.jpg", "--json"
    ).document
    assert (again["metadata"]["tags"], again["metadata"]["year"], again["uri"]) == (["b"], 2024, "new.jpg")
    assert "brand" not in again["metadata"]
    assert run("images", "show", first, "--json").document == again
    assert "uri\tnew.jpg" in run("images", "show", first).stdout
    found = run("images", "list", "--filter", '{"must": [{"key": "tags", "match": "b"}]}', "--json").lines
    assert [image["id"] for image in found] == [first]

    would = run("images", "delete", second, "--dry-run", "--json").document
    assert (would["count"], would["dry_run"]) == (1, True)
    assert "has no picture none" in run("images", "delete", second, "none", status=1).stderr
    assert "unknown_image" in run("images", "show", second, status=4).stderr
    assert (
        run(
            "images", "delete", "--filter", '{"must": [{"key": "year", "match": 2024}]}', "--yes", "--json"
        ).document["count"]
        == 1
    )


def test_an_edit_or_a_deletion_that_names_nothing_is_a_usage_error(run):
    assert "name something" in run("images", "edit", "x", status=2).stderr
    assert "KEY=VALUE" in run("images", "edit", "x", "--set", "year", status=2).stderr
    assert "--filter" in run("images", "delete", status=2).stderr
    assert "not valid JSON" in run("images", "list", "--filter", "{", status=2).stderr
    assert "more than once" in run("images", "list", "--filter", '{"must": [], "must": []}', status=2).stderr
    assert "more than once" in run("images", "edit", "x", "--set", 'a={"b": 1, "b": 2}', status=2).stderr


def test_collections_are_created_listed_shown_and_deleted(run, settings):
    with serving(settings):
        made = run("collections", "create", "shop", "--description", "what we sell", "--json").document
        assert (made["name"], made["images"]) == ("shop", 0)
        assert [c["name"] for c in run("collections", "list", "--json").document["items"]] == [
            "default",
            "shop",
        ]
        assert [row[0] for row in run("collections", "list").rows] == ["default", "shop"]
        shown = run("collections", "show", "shop", "--json").document
        assert {"index_bytes", "stored_bytes", "description", "keeps"} <= shown.keys()
        assert "collection_exists" in run("collections", "create", "shop", status=4).stderr
        assert run("collections", "delete", "shop", "--yes", "--json").document == {"deleted": "shop"}
        assert "unknown_collection" in run("collections", "show", "shop", status=4).stderr


def test_a_query_is_a_file_an_address_or_an_id(run, stored, picture, folder):
    ids = dict(stored)
    own = ids[picture.relative_to(folder).as_posix()]
    by_file = run("search", picture, "--json").document
    assert by_file["exact_matches"] == [own]
    by_id = run("search", own, "--json").document
    assert own not in [item["id"] for item in by_id["items"]]
    with files_at(folder) as address:
        by_url = run("search", f"{address}/{picture.relative_to(folder).as_posix()}", "--json").document
        assert by_url["items"] == by_file["items"]
        missing = run("search", f"{address}/none.jpg", status=4).stderr
        assert missing.splitlines()[-1].endswith(
            "/none.jpg cannot be fetched: it answers with 404 File not found"
        )
    assert "unknown_image" in run("search", "none", status=4).stderr
    assert "and no file none.JPG" in run("search", "none.JPG", status=4).stderr
    assert "and no file a/none" in run("compare", picture, "a/none", status=4).stderr
    assert "is a folder" in run("search", f"{folder}/", status=4).stderr
    assert "--orientations" in run("search", own, "--orientations", "8", status=2).stderr
    table = run("search", picture)
    assert table.rows[0][1] == own
    assert "3 pictures of 'default'" in table.stderr


def test_two_pictures_are_compared_whatever_they_are(run, stored, picture):
    same = run("compare", picture, stored[0][1], "--json").document
    assert {"distance", "likeness", "exact"} <= same.keys()
    assert "same file\tyes" in run("compare", picture, picture).stdout
    assert "distance\t" in run("compare", stored[0][1], stored[1][1]).stdout


def test_an_export_ends_quietly_with_the_reader_of_its_pipe(run, stored, monkeypatch):
    def closed(_: object) -> str:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("app.cli.gallery.export._line", closed)
    (line,) = run("export", status=1).stderr.splitlines()
    assert "using" in line


def test_an_export_is_lines_of_json_on_standard_output_or_in_a_file(run, stored, tmp_path):
    lines = run("export").lines
    assert [line["id"] for line in lines] == [image_id for _, image_id in stored]
    assert {"id", "sha256", "uri", "metadata", "model", "code"} <= lines[0].keys()
    file = tmp_path / "all.ndjson"
    assert "3 pictures exported" in run("export", "--output", file).stderr
    assert [json.loads(line) for line in file.read_text().splitlines()] == lines
    assert [path.name for path in tmp_path.glob("*.part")] == []


def test_labels_are_lines_of_json_or_a_table(run, stored, tmp_path):
    labelled = run("words", "label", "--limit", "2").lines
    assert [line["id"] for line in labelled] == [image_id for _, image_id in stored]
    assert all(len(line["labels"]) == 2 for line in labelled)
    table = tmp_path / "labels.csv"
    run("words", "label", "--format", "csv", "--limit", "1", "-o", str(table))
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [(row["id"], row["word"]) for row in rows] == [
        (line["id"], line["labels"][0]["word"]) for line in labelled
    ]


def test_what_only_prints_prints_plainly_and_as_json(run, stored):
    assert "pictures\t3" in run("info").stdout
    assert run("info", "--json").document["images"] == 3
    assert run("models", "list").rows[0][2] == "shipped"
    assert run("models", "report", "lite2-64", "--json").document["bits"] == 64
    assert run("words", "list", "--json").document["items"] == []
    learning = run("words", "learn", "tags", "label", "--min-pictures", "2", "--json").document
    assert run("jobs", "cancel", learning["id"], "--json").document["type"] == "learn_words"
    job = run("backup", "--json").document
    assert job["type"] == "backup"
    assert run("jobs", "show", job["id"]).stdout.startswith(f"id\t{job['id']}")
    assert run("jobs", "list").rows[0][0] == job["id"]
    assert run("jobs", "cancel", job["id"], "--json").document["id"] == job["id"]
    assert run("backups", "--json").document["items"] == []
    assert run("duplicates", "--json", "--max-distance", "0").lines == []
    assert run("settings", "--json").document["Search and indexes"]["LOOKALIKE_SCAN_THREADS"] == "1"
    assert set(run("db", "upgrade", "--json").document) == {"revision"}


def test_a_benchmark_has_every_figure(run):
    figures = run("benchmark", "--pictures", "1000", "--seconds", "0.1", "--json").document
    assert all(value is None or isinstance(value, str) or value > 0 for value in figures.values()), figures
    assert {"pictures_per_s", "search_ms", "index_bytes", "room"} <= figures.keys()
    assert "--pictures" in run("benchmark", "--pictures", "10", status=2).stderr


def test_keys_print_the_fields_of_the_interface(run, monkeypatch):
    made = run("keys", "create", "me", "--scope", "read", "--expires-in-days", "1", "--json").document
    (listed,) = run("keys", "list", "--json").document["items"]
    assert listed == {name: value for name, value in made.items() if name != "secret"}
    assert run("keys", "rotate", made["id"], "--json").document["secret"] != made["secret"]
    assert run("keys", "change", made["id"], "--name", "you", "--json").document["name"] == "you"
    assert run("keys", "revoke", made["id"], "--json").document == {"revoked": made["id"]}


def test_completion_can_be_installed():
    from app.cli.main import app

    options = {option for parameter in typer.main.get_command(app).params for option in parameter.opts}
    assert {"--install-completion", "--show-completion", "--version"} <= options


class files_at:  # noqa: N801 - reads as a function
    """Serves a folder over HTTP."""

    def __init__(self, folder) -> None:
        class Quiet(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args) -> None:
                super().__init__(*args, directory=folder)

            def log_message(self, *_) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)

    def __enter__(self) -> str:
        poll = {"poll_interval": 0.01}
        threading.Thread(target=self._server.serve_forever, kwargs=poll, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()
