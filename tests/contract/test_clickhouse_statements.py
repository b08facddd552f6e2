"""Statements for a cluster, where there is none: ClickHouse parses them, and they reach all of its servers."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from app.domain.filters import parse_filter
from app.remote.connection import EngineAddress, EngineConnection, Rows
from app.remote.filters import filter_sql
from app.remote.journal import Generation, Journal, JournalEntry, Repair
from app.remote.schema import MAX_WORDS, code_table, migrate
from app.remote.stored_codes import StoredCodes, difference_sql, distance_sql, least_sql
from app.remote.writer import PictureRows, RepairedRows, Writer
from tests.fixtures.engine import engine, engine_address, engine_url  # noqa: F401

CLUSTER = "lookalike"
GENERATION = Generation("service: a\0b'c", 1_700_000_000_000_000_000, 2)


class RecordingConnection(EngineConnection):
    """Notes statements and settings, and runs none; queries return what the writer needs to continue."""

    def __init__(self) -> None:
        super().__init__(EngineAddress("http://nowhere:8123", "lookalike", cluster=CLUSTER))
        self.statements: list[str] = []
        self.settings: list[dict[str, Any]] = []

    def query(self, sql: str) -> Rows:
        self.statements.append(sql)
        if "system.parts" in sql:
            return [("codes_2_local", 7), ("gone_local", 7)]
        if "toUnixTimestamp64Milli" in sql:
            return [(1_700_000_000_000,)]
        if " AS q" in sql:
            is_ranking = "toInt32(d)" in sql
            return [(0, 0, -(2**31), 0)] if is_ranking else [(0, 0, -(2**31)), (0, 0, 0)]
        if "max(change) FROM" in sql:
            return [(1, 5), (2, 6)]
        if sql.startswith("SELECT count("):
            return [(0, 0)] if "max(" in sql else [(0,)]
        return []

    def command(self, sql: str, settings: Mapping[str, Any] | None = None) -> None:
        self.statements.append(sql)
        self.settings.append({**self._settings(), **(settings or {})})

    def insert(self, table: str, columns: Mapping[str, Any], *, token: str | None = None) -> None:  # noqa: ARG002
        self.statements.append(f"INSERT INTO {self.database}.{table} ({', '.join(columns)}) FORMAT Native")
        self.settings.append(self._settings())


@pytest.fixture(scope="module")
def recorded() -> RecordingConnection:
    """Everything that a service does with a cluster, once."""
    connection = RecordingConnection()
    migrate(connection)
    writer, journal = Writer(connection), Journal(connection)
    rows = PictureRows([1], [b"\0" * 16], [3], [["a"]], [[]])
    writer.begin_generation("owner", 2, 1)
    writer.filled_up_to(GENERATION)
    writer.fill(GENERATION, 128, rows)
    repaired = RepairedRows(Repair(1, 1, 2), rows, [1])
    writer.write_batch(GENERATION, 128, (1, 3), rows, [1], is_exact=True, repaired=repaired)
    writer.compact(GENERATION, 9)
    assert writer.drop_orphans() == 2
    writer.drop(GENERATION)
    writer.gone_count(GENERATION, 9)
    writer.numbers_between(GENERATION, 1, 9)
    journal.progress("owner")
    journal.published(["owner"], 9)
    journal.generations("service")
    journal.ask_for_repairs(GENERATION, [(1, 2)])
    journal.pending_repairs(GENERATION)
    journal.end_repair(GENERATION, Repair(1, 1, 2), 3)
    journal.write(GENERATION, JournalEntry.REFILL, 0, 0)
    stored = StoredCodes(connection, GENERATION, 9)
    codes = np.array([[1, 2**64 - 1], [3, 4]], np.uint64)
    wanted = parse_filter(
        {"must": [{"key": "a", "match": "it's"}, {"key": "n", "range": {"gt": 1, "lte": 2.5}}]}
    )
    condition = filter_sql(wanted)
    values = [distance_sql(codes[0]), least_sql(codes), difference_sql(codes, codes)]
    stored.rankings(values, 3, hidden=[1, 2], condition=condition, radius=9)
    stored.count(hidden=[1], condition=condition, value=f"({values[0]}) = 3")
    stored.counts_by(values[0], hidden=[], condition=None)
    stored.fingerprint(1, 9, hidden=[3])
    return connection


def test_clickhouse_parses_every_statement(recorded, engine: EngineConnection):  # noqa: F811
    assert len(recorded.statements) > 40
    for statement in recorded.statements:
        # Not EXPLAIN: the client's FORMAT clause would belong to the statement behind it.
        text = statement.replace("\\", "\\\\").replace("'", "\\'")
        assert engine.query(f"SELECT formatQuery('{text}')")[0][0], statement


def test_tables_are_replicated_and_distributed_over_the_cluster(recorded):
    created = [one for one in recorded.statements if one.startswith("CREATE TABLE")]
    names = [*map(code_table, range(1, MAX_WORDS + 1)), "gone", "batches", "repairs", "schema_versions"]
    for name in names:
        local, distributed = (
            next(one for one in created if f"`lookalike`.{table} ON CLUSTER" in one)
            for table in (f"{name}_local", name)
        )
        assert "ENGINE = ReplicatedReplacingMergeTree" in local
        assert re.search(rf"ENGINE = Distributed\(`{CLUSTER}`, `lookalike`, {name}_local, ", distributed)
    assert all(f"ON CLUSTER `{CLUSTER}`" in one for one in created)
    # Rows of a picture and the entries that hide them must be on the same shard.
    for name in (*map(code_table, range(1, MAX_WORDS + 1)), "gone"):
        assert any(f", {name}_local, cityHash64(number))" in one for one in created)


def test_changes_of_rows_reach_the_local_tables_of_all_servers_and_are_the_same_everywhere(recorded):
    changed = [one for one in recorded.statements if one.startswith(("ALTER", "DELETE"))]
    assert len(changed) >= 8
    for statement in changed:
        assert re.match(rf"(ALTER TABLE|DELETE FROM) `lookalike`\.\w+_local ON CLUSTER `{CLUSTER}` ", statement)
        # ClickHouse refuses what replicas could evaluate differently.
        assert "SELECT" not in statement
        assert "now" not in statement


def test_writes_wait_for_a_quorum_and_the_server_knows_every_setting(recorded, engine: EngineConnection):  # noqa: F811
    named = {name for settings in recorded.settings for name in settings}
    known = {name for (name,) in engine.query("SELECT name FROM system.settings")}
    assert named <= known
    for settings in recorded.settings:
        assert (settings["insert_quorum"], settings["insert_quorum_parallel"]) == ("auto", 0)
        assert (settings["select_sequential_consistency"], settings["distributed_foreground_insert"]) == (1, 1)
    of_tables = {name for (name,) in engine.query("SELECT name FROM system.merge_tree_settings")}
    used = {name for one in recorded.statements for name in re.findall(r"(\w*deduplication_window) =", one)}
    assert used == {"replicated_deduplication_window"} <= of_tables
