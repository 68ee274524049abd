"""`search/profiles.py`: what `--from` names."""

from __future__ import annotations

import pytest

from otel_logging.search.clickhouse import ClickHouse
from otel_logging.search.cloudwatch import CloudWatch
from otel_logging.search.datadog import Datadog
from otel_logging.search.profiles import BadProfile, opened, path_of
from otel_logging.search.source import Local, Several, is_remote

FILE = """
profiles:
  eu:
    backend: cloudwatch
    region: eu-central-1
    profile: prod
    log_groups: [/voice/media, "/voice/worker*"]
  us:
    backend: cloudwatch
    region: us-east-1
    log_groups: /voice/media
    method: insights
  dd-eu: {backend: datadog, site: datadoghq.eu, indexes: [main], api_key_env: DD_EU_KEY, storage_tier: flex}
  ch: {backend: clickhouse, host: logs.internal, port: 8443, secure: true, database: otel}
groups:
  everywhere: [local, eu, us, dd-eu, ch]
"""


@pytest.fixture
def env(tmp_path):
    """An environment whose profiles are `FILE`; `env.write(text)` writes others."""

    class Env(dict):
        def write(self, text):
            (tmp_path / "profiles.yaml").write_text(text, encoding="utf-8")

    made = Env(OTEL_LOGGING_PROFILES=str(tmp_path / "profiles.yaml"))
    made.write(FILE)
    return made


def settings(source):
    return source._settings


def test_nothing_named_is_the_store(tmp_path):
    """Without `--from` the local store is meant, as a plain folder."""
    source = opened([], tmp_path, {})
    assert isinstance(source, Local)
    assert not is_remote(source)


def test_a_group(env, tmp_path):
    """One name for several places, each with its own region, account or site."""
    source = opened(["everywhere"], tmp_path, env)
    assert is_remote(source)
    local, eu, us, dd, ch = source.sources
    assert isinstance(local, Local)
    assert settings(eu).log_groups == ("/voice/media", "/voice/worker*")
    assert (settings(eu).region, settings(eu).profile) == ("eu-central-1", "prod")
    assert (settings(us).log_groups, settings(us).method) == (("/voice/media",), "insights")
    assert (settings(dd).site, settings(dd).indexes, settings(dd).api_key_env) == (
        "datadoghq.eu",
        ("main",),
        "DD_EU_KEY",
    )
    assert (settings(ch).host, settings(ch).port, settings(ch).secure) == ("logs.internal", 8443, True)
    assert source.name == "local, eu, us, dd-eu, ch"


def test_named_twice_is_asked_once(env, tmp_path):
    """A place in a group and beside it is one place."""
    assert len(opened(["eu", "everywhere"], tmp_path, env).sources) == 5


@pytest.mark.parametrize(
    ("name", "env", "kind", "expected"),
    [
        ("cloudwatch:/voice/media, /voice/w*", {}, CloudWatch, {"log_groups": ("/voice/media", "/voice/w*")}),
        ("datadog", {}, Datadog, {"site": "datadoghq.com"}),
        ("datadog", {"DD_SITE": "us5.datadoghq.com"}, Datadog, {"site": "us5.datadoghq.com"}),
        ("datadog:datadoghq.eu", {"DD_SITE": "x"}, Datadog, {"site": "datadoghq.eu"}),
        ("clickhouse", {}, ClickHouse, {"host": "localhost", "database": "default"}),
        ("clickhouse", {"CLICKHOUSE_HOST": "h"}, ClickHouse, {"host": "h"}),
        ("clickhouse:https://h:8443/otel", {}, ClickHouse, {"host": "h", "port": 8443, "secure": True, "database": "otel"}),
        ("clickhouse:h", {}, ClickHouse, {"host": "h", "port": 0, "secure": False}),
    ],
)  # fmt: skip
def test_without_a_file(tmp_path, name, env, kind, expected):
    """A back end needs no file: its place stands behind a colon or in its own variables."""
    source = opened([name], None, {"XDG_CONFIG_HOME": str(tmp_path), **env})
    assert isinstance(source, Several)
    (only,) = source.sources
    assert isinstance(only, kind)
    assert {key: getattr(settings(only), key) for key in expected} == expected


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nobody", "neither a back end nor a profile; valid: local, cloudwatch, datadog, clickhouse, eu, us"),
        ("cloudwatch", "which log groups?"),
        ("local:/tmp", "takes no place"),
        ("clickhouse:http://user:pw@h", "no user and password in the URL"),
        ("clickhouse:ftp://h", "valid: HOST"),
        ("clickhouse:http://h:port", "clickhouse"),
    ],
)
def test_wrong_names(env, tmp_path, name, words):
    """What cannot be understood is a sentence that says what would be valid."""
    with pytest.raises(BadProfile) as caught:
        opened([name], tmp_path, env)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "is no YAML"),
        ("[]", "valid at the top"),
        ("other: {}", "valid at the top"),
        ("profiles: [x]", "mappings by name"),
        ("profiles: {p: {backend: splunk}}", "backend 'splunk'; valid: cloudwatch"),
        ("profiles: {p: 7}", "is no mapping"),
        ("profiles: {p: {backend: datadog, api_key: abc}}", "no secrets in here"),
        ("profiles: {p: {backend: clickhouse, password: abc}}", "no secrets in here"),
        ("profiles: {p: {backend: datadog, colour: red}}", "colour: unknown; valid: site"),
        ("profiles: {p: {backend: datadog, storage_tier: cold}}", "valid: indexes"),
        ("profiles: {p: {backend: cloudwatch, log_groups: [1]}}", "no list of texts"),
        ("profiles: {p: {backend: cloudwatch, log_groups: [a], method: slow}}", "valid: auto"),
        ("profiles: {p: {backend: clickhouse, port: many}}", "is no number"),
        ("profiles: {p: {backend: clickhouse, secure: 1}}", "valid: true, false"),
        ("profiles: {p: {backend: clickhouse, host: 1}}", "is no text"),
        ("groups: {p: [q]}", "names 'q', which is no profile"),
    ],
)
def test_wrong_files(env, tmp_path, text, words):
    """A wrong file names itself and what is wrong; nothing is asked."""
    env.write(text)
    with pytest.raises(BadProfile) as caught:
        opened(["p"], tmp_path, env)
    assert words in str(caught.value)
    assert "abc" not in str(caught.value)


def test_where_the_file_is(tmp_path):
    """A file that was named must be there; the usual one need not."""
    assert path_of({"XDG_CONFIG_HOME": "/x"}).as_posix() == "/x/otel-logging/profiles.yaml"
    with pytest.raises(BadProfile, match="does not exist"):
        opened(["p"], None, {"OTEL_LOGGING_PROFILES": str(tmp_path / "no.yaml")})
    with pytest.raises(BadProfile, match="neither a back end nor a profile"):
        opened(["p"], None, {"XDG_CONFIG_HOME": str(tmp_path)})
