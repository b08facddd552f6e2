"""What only a cluster of servers can show: replicas, shards, and statements that reach all of them.

``tests/fixtures/engine.py`` says which variables name it.
"""

import numpy as np
import pytest

from app.remote import writer as writers
from app.remote.connection import EngineConnection
from app.remote.journal import JournalEntry
from app.remote.schema import migrate
from app.remote.stored_codes import StoredCodes, distance_sql
from app.remote.writer import PictureRows, Writer
from tests.contract.index_oracle import FILTERS, Pictures, check_view, few_codes, random_metadata
from tests.contract.test_index import RemoteUnderTest
from tests.fixtures.engine import CLUSTER, SERVER, cluster, engine_url  # noqa: F401

pytestmark = pytest.mark.skipif(
    not (SERVER and CLUSTER),
    reason="LOOKALIKE_TEST_CLICKHOUSE_URL and LOOKALIKE_TEST_CLICKHOUSE_CLUSTER name no cluster",
)

BITS = 136


def test_views_give_the_answers_of_the_oracle(cluster: EngineConnection):  # noqa: F811
    rng = np.random.default_rng(3)
    index, pictures = RemoteUnderTest(BITS, cluster, rng), Pictures()
    for step in range(3):
        puts, version = {}, 40 * (step + 1)
        for number in range(40 * step + 1, version + 1):
            puts[number] = few_codes(rng, 1, BITS)[0]
            pictures.put(number, puts[number], random_metadata(rng))
        deleted = sorted(set(range(40 * step - 20, 40 * step)) & pictures.codes.keys())
        for number in deleted:
            pictures.delete(number)
        index.apply(version, pictures, puts, deleted)
        check_view(index.view(), pictures, rng, filters=FILTERS)
    index.compact()
    check_view(index.view(), pictures, rng)


def rows(count: int) -> PictureRows:
    codes = np.random.default_rng(1).bytes(8 * count)
    return PictureRows(
        [*range(1, count + 1)],
        [codes[8 * i : 8 * i + 8] for i in range(count)],
        [1] * count,
        [["a"]] * count,
        [[]] * count,
    )


def test_rows_are_on_every_shard_once_on_each_replica_and_repeated_inserts_change_nothing(
    cluster: EngineConnection,  # noqa: F811
):
    writer = Writer(cluster)
    generation = writer.begin_generation("cluster", 1, 1).generation
    for _ in range(3):
        writer.write_batch(generation, 64, (0, 1), rows(1_000), [], is_exact=True)
    name = cluster.address.database
    by_server = cluster.query(
        f"SELECT getMacro('shard') AS shard, hostName(), count() "
        f"FROM clusterAllReplicas(`{CLUSTER}`, `{name}`.codes_1_local) GROUP BY ALL ORDER BY ALL"
    )
    shards = {shard: {count for other, _, count in by_server if other == shard} for shard, _, _ in by_server}
    assert all(len(counts) == 1 for counts in shards.values())
    assert sum(next(iter(counts)) for counts in shards.values()) == 1_000
    assert len(by_server) == len(cluster.query(f"SELECT 1 FROM system.clusters WHERE cluster = '{CLUSTER}'"))


def test_deletions_compaction_and_drops_reach_all_servers(cluster: EngineConnection, monkeypatch):  # noqa: F811
    monkeypatch.setattr(writers, "ORPHAN_AGE_NS", 0)
    writer = Writer(cluster)
    generation = writer.begin_generation("cluster", 1, 1).generation
    writer.write_batch(generation, 64, (0, 1), rows(1_000), [], is_exact=True)
    writer.write_batch(generation, 64, (1, 2), PictureRows(), [*range(1, 301)], is_exact=True)
    stored = StoredCodes(cluster, generation, 2)
    value = distance_sql(np.zeros(1, np.uint64))
    [before] = stored.rankings([value], 1_000, hidden=[], condition=None, radius=None)
    assert sorted(before.numbers.tolist()) == [*range(301, 1_001)]
    writer.compact(generation, 2)
    assert cluster.query(f"SELECT count() FROM {cluster.database}.codes_1") == [(700,)]
    assert writer.gone_count(generation, 2) == 0
    [after] = stored.rankings([value], 1_000, hidden=[], condition=None, radius=None)
    assert after.numbers.tolist() == before.numbers.tolist()
    other = writer.begin_generation("other", 1, 1).generation
    writer.journal.write(other, JournalEntry.PUBLISHED, 1, 1)
    assert writer.drop_orphans() == 0  # each server holds only a part of the journal
    writer.drop(generation)
    assert cluster.query(f"SELECT count() FROM {cluster.database}.codes_1") == [(0,)]


def test_a_table_that_one_server_lost_is_made_again(cluster: EngineConnection):  # noqa: F811
    on = f"ON CLUSTER `{CLUSTER}`"
    cluster.command(f"DROP TABLE {cluster.database}.codes_1_local {on} SYNC")
    migrate(cluster)
    assert cluster.query(f"SELECT count() FROM {cluster.database}.codes_1") == [(0,)]
