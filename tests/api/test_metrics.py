"""The metrics: named by Prometheus' conventions, bounded, documented, and right."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.api.app import create_app
from app.bootstrap import shared
from app.images.decode import Decoder
from app.settings import Settings
from app.telemetry import collection_gauges, metrics, process
from tests.api.conftest import draw, local_client

OPERATIONS = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text()
BASE_UNITS = ("seconds", "bytes", "ratio")
FORBIDDEN_PARTS = {"ms", "milliseconds", "minutes", "hours", "kb", "mb", "percent", "count", "sum", "bucket"}
NAME = re.compile(r"(?:lookalike|process)_[a-z][a-z0-9_]*")


def families(text: str) -> dict:
    return {family.name: family for family in text_string_to_metric_families(text)}


class Scraped:
    """A client, and what its service has counted since; other tests of this process count, too."""

    def __init__(self, client, decoders_elsewhere: dict[str, float]) -> None:
        self.client = client
        self._before = self._counted() | {(name,): value for name, value in decoders_elsewhere.items()}

    def families(self) -> dict:
        return families(self.client.get("/metrics").text)

    def _counted(self) -> dict:
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in self.families().values()
            if family.type != "gauge"
            for sample in family.samples
        }

    def value(self, name: str, **labels) -> float:
        """The sum of the samples that have these labels; of counters and histograms what was added."""
        return sum(
            sample.value - self._before.get((name, *sorted(sample.labels.items())), 0)
            for family in self.families().values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@pytest.fixture(scope="module")
def used(tmp_path_factory, make_data_dir):
    """A service that has answered each kind of request."""
    settings = Settings(data_dir=make_data_dir(tmp_path_factory.mktemp("metrics") / "data"), decode_children=1)
    decoders = ("lookalike_decode_children", "lookalike_decode_children_limit")
    elsewhere = {name: metrics.REGISTRY.get_sample_value(name) or 0 for name in decoders}
    with pytest.MonkeyPatch.context() as patch:
        # A decoder that other tests share would have its child already.
        patch.setattr(shared, "Decoder", Decoder)
        app = create_app(settings, load_first=True)
        with local_client(app) as client:
            scraped = Scraped(client, elsewhere)
            assert client.put("/images/a", content=draw(1)).status_code == 201
            assert client.post("/search", files={"file": draw(1)}).status_code == 200
            assert client.put("/images/b", content=b"no picture").status_code == 415
            for path in ("/", "/page/main.js", "/docs", "/images/missing", "/v1/images", "/wp-login.php"):
                client.get(path)
            yield scraped


def test_names_and_types_follow_the_conventions_of_prometheus(used):
    found = used.families()

    assert len(found) > 50
    for name, family in found.items():
        assert NAME.fullmatch(name), name
        assert family.documentation.endswith("."), name
        assert not FORBIDDEN_PARTS & set(name.split("_")), name
        for sample in family.samples:
            assert not sample.name.endswith("_created"), sample.name
            assert "le" not in sample.labels or family.type == "histogram", name
            if family.type == "counter":
                assert sample.name == f"{name}_total", name
            elif family.type == "gauge":
                assert not sample.name.endswith(("_total", "_info")) or sample.name.endswith("_build_info")
        # A base unit comes last.
        for unit in BASE_UNITS:
            assert unit not in name.split("_")[:-1], name


def test_every_metric_is_documented_once_and_nothing_else_is(used):
    table = OPERATIONS.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `((?:lookalike|process)_[a-z0-9_]+)(?:\{[a-z,]*\})?`", table, re.MULTILINE)
    defined = {gauge.name for gauge in metrics.SCRAPED}
    for family in metrics.REGISTRY.collect():
        defined.add(f"{family.name}_total" if family.type == "counter" else family.name)

    assert {name for name in defined if documented.count(name) != 1} == set()
    assert set(documented) <= defined


def test_requests_are_counted_by_route(used):
    def requests(route):
        return used.value("lookalike_http_requests_total", route=route)

    assert requests("/search") == 1
    assert requests("/images/{image_id}") == 3
    # With and without the version.
    assert requests("/images") == 1
    assert requests("/page/{file}") == 1
    assert requests("(unknown)") == 1
    assert requests("unmatched") == 0
    assert used.value("lookalike_http_request_duration_seconds_count", route="(unknown)") == 0
    assert used.value("lookalike_http_request_duration_seconds_count", route="/search") == 1


def test_a_request_that_is_refused_before_routing_has_its_route(used):
    answer = used.client.post("/search", content=b"{", headers={"content-type": "application/x-tar"})

    assert answer.status_code == 415
    assert used.value("lookalike_http_requests_total", route="/search", status="415") == 1


def test_the_index_is_measured(used):
    assert used.value("lookalike_index_codes", collection="default") == 1
    assert used.value("lookalike_collection_pictures", collection="default") == 1
    assert used.value("lookalike_index_coverage_ratio", collection="default") == 1
    assert used.value("lookalike_index_bytes", collection="default") > 0
    # By the last heartbeat, which is at most two seconds old.
    assert 0 <= used.value("lookalike_index_lag_changes") < 10
    assert used.value("lookalike_index_version") == used.client.get("/info").json()["index_version"]
    assert used.value("lookalike_index_last_sync_timestamp_seconds") > 1.7e9


def test_decoding_and_encoding_are_measured(used):
    assert used.value("lookalike_decode_children") == used.value("lookalike_decode_child_starts_total") == 1
    # One more than configured, for when queries and additions are decoded at the same time.
    assert used.value("lookalike_decode_children_limit") == 2
    assert used.value("lookalike_encoder_batch_pictures_count") == 2
    assert used.value("lookalike_encoder_batch_pictures_sum") == 2
    assert used.value("lookalike_encoder_batch_duration_seconds_count") == 2
    assert used.value("lookalike_encoder_queue_pictures") == 0
    assert used.value("lookalike_pictures_refused_total", code="not_an_image") == 1


def test_lanes_are_measured(used):
    places = used.value("lookalike_admission_places", lane="search")

    assert places == 64
    assert used.value("lookalike_admission_places_used") == 0
    assert used.value("lookalike_admission_requests_in_flight") == 0


def test_the_build_the_process_and_the_disk_are_described(used):
    info = used.families()["lookalike_build_info"].samples
    assert [sample.value for sample in info] == [1]
    assert info[0].labels["version"] == used.client.get("/info").json()["version"]
    assert info[0].labels["kernels"]
    assert used.value("lookalike_ready") == 1
    assert used.value("lookalike_database_up") == 1
    assert used.value("process_cpu_seconds_total") > 0
    assert used.value("process_resident_memory_bytes") > 1e7
    assert used.value("process_open_fds") > 3
    assert used.value("process_start_time_seconds") > 1.7e9
    assert 0 < used.value("lookalike_disk_free_bytes") <= used.value("lookalike_disk_size_bytes")


def test_jobs_processes_and_backups_are_counted(used):
    assert used.client.post("/admin/jobs/backup", json={}).status_code == 202

    assert used.value("lookalike_jobs", kind="backup", state="queued") == 1
    assert used.value("lookalike_jobs", kind="backup", state="failed") == 0
    assert used.value("lookalike_job_parts", kind="backup", state="queued") == 1
    assert used.value("lookalike_job_oldest_queued_timestamp_seconds", kind="backup") > 1.7e9
    assert used.value("lookalike_processes", kind="api") == 1
    assert used.value("lookalike_processes", kind="worker") == 0
    assert used.value("lookalike_last_heartbeat_timestamp_seconds", kind="api") > 1.7e9
    assert used.value("lookalike_backups") == 0
    assert "lookalike_last_backup_timestamp_seconds" not in used.families()


def test_collections_beyond_the_bound_share_a_series():
    gauges = {collection_gauges.INDEX_CODES: 2.0, collection_gauges.INDEX_COVERAGE: 0.5}
    values = {f"bounded-{i:03}": gauges for i in range(collection_gauges.MAX_COLLECTIONS + 3)}

    families = {family.name: family.samples for family in collection_gauges.collection_families(values)}
    shown, coverage = (
        {sample.labels["collection"]: sample.value for sample in families[name]}
        for name in ("lookalike_index_codes", "lookalike_index_coverage_ratio")
    )

    assert len(shown) == collection_gauges.MAX_COLLECTIONS + 1
    assert shown[collection_gauges.OTHER] == 6
    assert coverage[collection_gauges.OTHER] == 0.5


def test_a_deleted_collection_has_no_series(used):
    assert used.client.post("/collections", json={"name": "short-lived"}).status_code == 201
    assert used.value("lookalike_index_coverage_ratio", collection="short-lived") == 1
    assert used.client.delete("/collections/short-lived").status_code == 204

    assert b"short-lived" not in used.client.get("/metrics").content


def test_process_metrics_can_be_updated_again(used):
    assert process.resident_bytes() > 1e7
    before = used.value("process_cpu_seconds_total")

    assert before <= used.value("process_cpu_seconds_total") < before + 60
