"""The cluster of the compose profile: its files agree with each other and with what the documentation says."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import compose_spec
import yaml

from app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
FOLDER = ROOT / "docs" / "examples" / "clickhouse"
CLUSTER = ET.parse(FOLDER / "cluster.xml").getroot()
KEEPER = ET.parse(FOLDER / "keeper.xml").getroot()
PROFILE = {
    name: service
    for name, service in COMPOSE["services"].items()
    if service.get("profiles") == ["clickhouse-cluster"]
}
SERVERS = {name: service for name, service in PROFILE.items() if "clickhouse-server" in service["image"]}


def test_the_profile_has_two_shards_of_two_replicas_and_a_keeper():
    compose_spec.PyCompose.from_json(json.dumps(COMPOSE)).validate()
    [cluster] = CLUSTER.find("remote_servers")
    shards = [[host.text for host in shard.iter("host")] for shard in cluster.iter("shard")]
    assert [len(shard) for shard in shards] == [2, 2]
    assert sorted(host for shard in shards for host in shard) == sorted(SERVERS)
    for i, shard in enumerate(shards, 1):
        environments = [SERVERS[host]["environment"] for host in shard]
        assert {environment["CLICKHOUSE_SHARD"] for environment in environments} == {str(i)}
        assert len({environment["CLICKHOUSE_REPLICA"] for environment in environments}) == 2
    # Else a row of a Distributed table would be written to each replica, which replicate too.
    assert {one.text for one in cluster.iter("internal_replication")} == {"true"}
    assert all(service["hostname"] == name for name, service in PROFILE.items())


def test_servers_find_the_keeper_and_their_variables():
    [keeper] = PROFILE.keys() - SERVERS.keys()
    node = CLUSTER.find("zookeeper/node")
    assert (node.findtext("host"), node.findtext("port")) == (keeper, KEEPER.findtext("keeper_server/tcp_port"))
    assert KEEPER.findtext("keeper_server/raft_configuration/server/hostname") == keeper
    for server in SERVERS.values():
        named = {one.get("from_env") for one in CLUSTER.iter() if one.get("from_env")}
        assert named <= server["environment"].keys()
        assert keeper in server["depends_on"]
    for service in PROFILE.values():
        for mounted in (one.split(":")[0] for one in service["volumes"] if one.startswith("./")):
            assert (ROOT / mounted).is_file()
        assert all(one.split(":")[0] in COMPOSE["volumes"] for one in service["volumes"] if one[0] != ".")


def test_the_documented_settings_name_the_cluster_and_an_address_of_its_servers(monkeypatch):
    text = (ROOT / "docs" / "scaling.md").read_text()
    values = dict(re.findall(r"^(LOOKALIKE_CLICKHOUSE_\w+)=(\S+)$", text, re.MULTILINE))
    [cluster] = CLUSTER.find("remote_servers")
    assert values["LOOKALIKE_CLICKHOUSE_CLUSTER"] == cluster.tag
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    host = Settings().engine.clickhouse_url.removeprefix("http://").partition(":")[0]
    assert all(host in server["networks"]["default"]["aliases"] for server in SERVERS.values())
    assert "docker compose --profile clickhouse-cluster up" in text
    for service in ("api", "worker"):
        environment = COMPOSE["services"][service]["environment"]
        assert environment.keys() >= values.keys()
        assert (
            environment["LOOKALIKE_CLICKHOUSE_USER"]
            == SERVERS["clickhouse-1a"]["environment"]["CLICKHOUSE_USER"]
        )
        assert COMPOSE["services"][service]["build"]["args"] == {"CLICKHOUSE": "${LOOKALIKE_CLICKHOUSE_URL:+1}"}


def test_a_service_without_the_profile_has_no_engine(monkeypatch):
    monkeypatch.setenv("LOOKALIKE_CLICKHOUSE_URL", "")
    monkeypatch.setenv("LOOKALIKE_CLICKHOUSE_CLUSTER", "")
    engine = Settings().engine
    assert (engine.clickhouse_url, engine.clickhouse_cluster) == (None, None)


def test_the_image_installs_what_the_extra_names():
    lock = (ROOT / "requirements" / "clickhouse.lock").read_text().splitlines()
    dev = (ROOT / "requirements" / "dev.lock").read_text().splitlines()
    assert set(lock) <= set(dev)
    assert any(line.startswith("clickhouse-connect==") for line in lock)
