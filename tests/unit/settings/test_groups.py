"""Settings are grouped by subject for readers, and flat for the environment."""

from pathlib import Path

import pytest

from app.settings import SETTING_GROUPS, Misconfigured, Settings, displayed


def test_every_setting_is_in_one_group():
    names = [name for group in SETTING_GROUPS.values() for name in group.model_fields]

    assert len(names) == len(set(names))


def test_every_group_and_setting_is_described():
    assert [name for name, group in SETTING_GROUPS.items() if not group.title()] == []
    assert [
        name
        for group in SETTING_GROUPS.values()
        for name, field in group.model_fields.items()
        if not field.description
    ] == []


def test_environment_names_do_not_contain_the_group(monkeypatch):
    monkeypatch.setenv("LOOKALIKE_MAX_UPLOAD_BYTES", "123")
    monkeypatch.setenv("LOOKALIKE_FETCH_HOSTS", "one.example, two.example")

    settings = Settings()

    assert settings.limits.max_upload_bytes == 123
    assert settings.imports.fetch_hosts == ["one.example", "two.example"]


def test_given_values_take_precedence_over_the_environment(monkeypatch):
    monkeypatch.setenv("LOOKALIKE_PORT", "1")
    monkeypatch.setenv("LOOKALIKE_HOST", "::1")

    settings = Settings(port=2)

    assert (settings.server.port, settings.server.host) == (2, "::1")
    assert settings.replace(host="127.0.0.2").server.port == 2


def test_a_replaced_value_is_checked():
    with pytest.raises(Misconfigured, match="LOOKALIKE_PORT=70000"):
        Settings().replace(port=70_000)


def test_a_name_that_is_no_setting_is_refused():
    with pytest.raises(TypeError, match="ports"):
        Settings(ports=1)


def test_a_replacement_keeps_the_other_settings(tmp_path):
    settings = Settings(data_dir=tmp_path, cors_origins=["https://app.example"])

    assert settings.replace(port=9).as_values() == {**settings.as_values(), "port": 9}


@pytest.mark.parametrize(
    ("setting", "value", "shown"),
    [
        ("database_url", "postgresql://me:secret@host/x", "postgresql://me:***@host/x"),
        ("database_url", "postgresql://me@host/x", "postgresql://me@host/x"),
        ("database_url", "postgresql://me@host/x?password=secret", "postgresql://me@host/x?***"),
        ("database_url", "postgresql://me:sec@ret@host/x", "postgresql://me:***@host/x"),
        ("database_url", "postgresql:/me:secret@host/x", "postgresql:***@host/x"),
        ("database_url", "postgresql://me:secret", "postgresql://me:***"),
        ("database_url", "postgresql://host:5432/x", "postgresql://host:5432/x"),
        ("database_url", "postgresql://me:http://secret@host/x", "postgresql:***@host/x"),
        ("database_url", "sqlite:////srv/a b.db", "sqlite:////srv/a b.db"),
        ("pictures_url", "s3://id:secret@bucket", "s3://id:***@bucket"),
        ("rate_limit_store", "redis://:secret@host:6379", "redis://:***@host:6379"),
        ("rate_limit_store", "memory://", "memory://"),
        ("import_prefixes", ["s3://id:secret@bucket/", "s3://b/"], "s3://id:***@bucket/,s3://b/"),
        ("bootstrap_admin_key", "a-secret", "***"),
        ("import_root", Path("/srv"), "/srv"),
        ("fetch_hosts", ["a", "b"], "a,b"),
    ],
)
def test_values_are_shown_without_secrets(setting, value, shown):
    assert displayed(setting, value) == shown


def test_a_short_bootstrap_key_is_refused_and_not_shown(tmp_path):
    with pytest.raises(Misconfigured, match=r"LOOKALIKE_BOOTSTRAP_ADMIN_KEY=\*\*\*: .* 20 characters"):
        Settings(bootstrap_admin_key="short").access.read_bootstrap_admin_key()

    (tmp_path / "key").write_text("short")
    with pytest.raises(Misconfigured, match=r"LOOKALIKE_BOOTSTRAP_ADMIN_KEY_FILE=.*key: .* 20 characters"):
        Settings(bootstrap_admin_key_file=tmp_path / "key").access.read_bootstrap_admin_key()


@pytest.mark.parametrize(
    ("variable", "value", "remedy"),
    [
        ("PORT", "http", "it must be a valid integer"),
        ("PORT", "99999", "it must be less than or equal to 65535"),
        ("KEEP_SNAPSHOTS", "maybe", "it must be true or false"),
        ("LOG_LEVEL", "loud", "it must be 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_rule_of_the_library_is_told_in_a_sentence_of_ours(monkeypatch, variable, value, remedy):
    monkeypatch.setenv(f"LOOKALIKE_{variable}", value)
    with pytest.raises(Misconfigured) as caught:
        Settings()
    assert str(caught.value) == f"LOOKALIKE_{variable}={value}: {remedy}"


PATHS = [
    name
    for group in SETTING_GROUPS.values()
    for name, field in group.model_fields.items()
    if field.annotation in {Path, Path | None}
]


@pytest.mark.parametrize("name", PATHS)
def test_an_empty_path_is_not_the_working_directory(monkeypatch, name):
    monkeypatch.setenv(f"LOOKALIKE_{name.upper()}", "")
    with pytest.raises(Misconfigured, match=f"LOOKALIKE_{name.upper()}=: it is empty"):
        Settings()


@pytest.mark.parametrize(
    "origin", ["shop.example", "https://shop.example/path", "https://*.shop.example", "null"]
)
def test_an_origin_has_a_scheme_and_a_host(monkeypatch, origin):
    monkeypatch.setenv("LOOKALIKE_CORS_ORIGINS", f"https://b.example,{origin}")
    with pytest.raises(Misconfigured, match="is not an origin"):
        Settings()


def test_origins_may_have_ports_and_other_schemes(monkeypatch):
    origins = ["http://localhost:5173", "http://[::1]:3000", "chrome-extension://abcdef"]
    monkeypatch.setenv("LOOKALIKE_CORS_ORIGINS", ", ".join(f"{origin}/" for origin in origins))
    assert Settings().access.cors_origins == origins


@pytest.mark.parametrize(
    "url",
    [
        "http://host:99999",
        "http://host:port",
        "http://host:0",
        "http://host:8123/path",
        "https://host:8443/?password=hunter2",
        "http://me:hunter2@host:8123",
        "http://host#part",
        "ftp://host",
        "http://",
    ],
)
def test_an_address_of_clickhouse_has_a_host_and_a_port_and_no_secret(monkeypatch, url):
    monkeypatch.setenv("LOOKALIKE_CLICKHOUSE_URL", url)
    with pytest.raises(Misconfigured) as caught:
        Settings()
    assert "LOOKALIKE_CLICKHOUSE_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)
