"""The Collector's configurations load, go together as the README says, name real parts, and hold no secret."""

from __future__ import annotations

import itertools
import json
import re
from functools import cache

import pytest
import yaml
from backends import KEY
from certificates import make
from cloudwatch_moto import CREDENTIALS, REGION
from collector_process import Collector
from collector_program import COLLECTOR
from free_ports import free_ports

ROOT = COLLECTOR.parent
README = (COLLECTOR / "README.md").read_text("utf-8")
CONFIGS = sorted({*COLLECTOR.glob("*.yaml")} - {COLLECTOR / "builder.yaml"})
COMBINATIONS = [line.split() for line in re.findall(r"^    (config\.yaml.*)$", README, re.MULTILINE)]
BUILDER = yaml.safe_load((COLLECTOR / "builder.yaml").read_text("utf-8"))
KINDS = ("receivers", "processors", "exporters", "extensions")
# What an attribute, header or setting that must not be written down is called.
SECRET_NAME = re.compile(r"(?i)(?:^|[_-])(?:key|token|password|secret|credentials?)$")
SECRET = re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\b[0-9a-f]{32}\b|\bsk-[A-Za-z0-9]{8,}|\beyJ[A-Za-z0-9_-]{8,}")


@cache
def parsed(name):
    """A file's content; nobody changes it."""
    return yaml.safe_load((COLLECTOR / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    """What every overlay needs, with nothing behind any address."""
    made = make(tmp_path_factory.mktemp("certificates"))
    certificate, key = made.pair("server")
    (nowhere,) = free_ports(1)
    url = f"http://127.0.0.1:{nowhere}"
    return {
        **CREDENTIALS,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": url,
        "CLOUDWATCH_OTLP_LOGS_ENDPOINT": url,
        "CLOUDWATCH_LOG_GROUP": "/voice",
        "CLOUDWATCH_LOG_STREAM": "voice",
        "DD_API_KEY": KEY,
        "DD_OTLP_LOGS_ENDPOINT": url,
        "DD_LOGS_ENDPOINT": url,
        "DD_API_ENDPOINT": url,
        "DD_TRACES_ENDPOINT": url,
        "CLICKHOUSE_ENDPOINT": f"tcp://127.0.0.1:{nowhere}",
        "COLLECTOR_TLS_CERT": str(certificate),
        "COLLECTOR_TLS_KEY": str(key),
        "COLLECTOR_TOKEN": "c4n4ry-0f-a-t0ken",
        "COLLECTOR_SELF_ENDPOINT": url,
    }


class TestTogether:
    """What the README puts together loads together."""

    def test_the_readme_names_them(self):
        """The combinations are really found there, and every file is in one."""
        assert len(COMBINATIONS) > 12
        beside = {"docker-logs.yaml", "local.yaml"}
        assert {name for files in COMBINATIONS for name in files} | beside == {path.name for path in CONFIGS}

    @pytest.mark.parametrize("files", COMBINATIONS, ids=" ".join)
    def test_validate(self, files, env, tmp_path):
        """As it stands; with one back end also with container logs, security and local files added."""
        more = [name for name in ("docker-logs.yaml", "secure.yaml", "local.yaml") if name not in files]
        if "datadog-metrics.yaml" in files:
            more.remove("secure.yaml")
        if "cloudwatch-otlp.yaml" in files:
            more.append("secure-cloudwatch-otlp.yaml")
        for number, names in enumerate((files, [*files, *more]) if len(files) < 4 else (files,)):
            done = Collector(tmp_path / str(number), *names, env=env).validate()
            assert done.returncode == 0, done.stderr
            assert "deprecated" not in done.stdout + done.stderr

    def test_an_extension_is_not_lost_silently(self, env, tmp_path):
        """Where two overlays each bring an extension and the third file is forgotten, it does not start half secured."""
        files = ("config.yaml", "policies.yaml", "cloudwatch-otlp.yaml", "secure.yaml")
        collector = Collector(tmp_path, *files, env=env).launch()
        assert collector.process is not None
        assert collector.process.wait(60) != 0
        assert "sigv4auth/logs" in collector.said

    @pytest.mark.parametrize("name", ["COLLECTOR_TOKEN"])
    def test_no_empty_token(self, env, tmp_path, name):
        """Without a token it does not start, rather than let everybody in."""
        rest = {key: value for key, value in env.items() if key != name}
        done = Collector(tmp_path, "config.yaml", "policies.yaml", "secure.yaml", env=rest).validate()
        assert done.returncode != 0
        assert "no bearer token provided" in done.stderr


class TestPipelines:
    """Lists are replaced, not merged: so each pipeline has to have all of it."""

    def pipelines(self):
        for path in CONFIGS:
            for name, pipeline in (parsed(path.name).get("service", {}).get("pipelines") or {}).items():
                yield path.name, name, pipeline

    def test_all_process_alike(self):
        """Every pipeline begins with the processors of config.yaml, in their order; the memory limiter is the first."""
        shared = {name: one["processors"] for name, one in parsed("config.yaml")["service"]["pipelines"].items()}
        shared["metrics"] = ["memory_limiter", "resource_detection"]
        assert {names[0] for names in shared.values()} == {"memory_limiter"}
        seen = 0
        for file, name, pipeline in self.pipelines():
            if pipeline["processors"] == ["filter/elsewhere"]:
                continue
            base = shared[name.split("/")[0]]
            assert pipeline["processors"][: len(base)] == base, (file, name)
            seen += 1
        assert seen > 8

    def test_all_receive_alike(self):
        """Every pipeline of a back end takes OTLP, and every one for logs takes container logs."""
        wanted = {"logs": ["otlp", "file_log/docker"], "traces": ["otlp"], "metrics": ["otlp"]}
        for file, name, pipeline in self.pipelines():
            if "receivers" in pipeline:
                assert pipeline["receivers"] == wanted[name.split("/")[0]], (file, name)

    def test_nothing_gives_up(self):
        """Every exporter over a network queues on disk in bytes, batches in bytes and tries again without end."""
        seen = 0
        for path in CONFIGS:
            for name, exporter in (parsed(path.name).get("exporters") or {}).items():
                # A metric that comes too late is of no use.
                if name.split("/")[0] in {"file", "debug"} or name == "datadog/metrics":
                    continue
                queue = exporter["sending_queue"]
                assert (queue["storage"], queue["sizer"], queue["batch"]["sizer"]) == (
                    "file_storage",
                    "bytes",
                    "bytes",
                ), name
                assert exporter["retry_on_failure"]["max_elapsed_time"] == 0, name
                seen += 1
        assert seen == 6

    def test_memory_is_bounded(self):
        """The limits are figures, the spike is below the limit, and both are within what a container gets."""
        limiter = parsed("config.yaml")["processors"]["memory_limiter"]
        limit, spike = (int(limiter[key].split(":-")[1].rstrip("}")) for key in ("limit_mib", "spike_limit_mib"))
        assert 0 < spike < limit <= 400


class TestParts:
    """Everything that is named exists, here and in the image."""

    def test_components_are_built(self):
        """Each receiver, processor, exporter and extension in any file is in builder.yaml."""
        for path in CONFIGS:
            for kind in KINDS:
                modules = {one["gomod"].split()[0].rsplit("/", 1)[1] for one in BUILDER[kind]}
                for name in parsed(path.name).get(kind) or {}:
                    plain = name.split("/")[0].replace("_", "")
                    assert {plain, plain + kind[:-1]} & modules, (path.name, name)

    def test_one_version(self):
        """Every file that names the official image means the version that the tests run."""
        found = {
            (path.name, version)
            for path in [ROOT / "docker-compose.yml", *COLLECTOR.rglob("*.*")]
            for version in re.findall(r"opentelemetry-collector-contrib:([\w.]+)", path.read_text("utf-8"))
        }
        assert {version for _, version in found} == {BUILDER["dist"]["version"]}
        assert {"docker-compose.yml", "README.md"} <= {name for name, _ in found}

    def test_the_documented_variables_are_the_ones(self):
        """The README's table and the files name the same variables."""
        text = "".join(path.read_text("utf-8") for path in CONFIGS)
        table = README.split("## Environment")[1]
        documented = set(re.findall(r"`([A-Z][A-Z_]{4,})`", table)) - {"OTEL_RESOURCE_ATTRIBUTES", "GOMEMLIMIT"}
        assert documented == set(re.findall(r"\$\{env:([A-Z_]+)", text))


class TestSecrets:
    """Keys and tokens come from the environment."""

    @pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
    def test_none_is_written_down(self, path):
        """A setting with such a name holds a variable without a default, and nothing looks like a key."""

        def walk(node, name=""):
            if isinstance(node, dict):
                for key, value in node.items():
                    walk(value, key)
            elif isinstance(node, list):
                for value in node:
                    walk(value)
            elif isinstance(node, str) and SECRET_NAME.search(name) and name != "key":
                assert re.fullmatch(r"\$\{env:[A-Z_]+(?::-)?\}", node), (name, node)

        content = yaml.safe_load(path.read_text("utf-8"))
        walk(content)
        for exporter in (content.get("exporters") or {}).values():
            assert exporter.get("api", {}).get("key", "${env:DD_API_KEY}") == "${env:DD_API_KEY}"
        assert not SECRET.search(path.read_text("utf-8").replace("0" * 32, ""))

    def test_none_is_printed(self, env, tmp_path):
        """Starting with all of them prints none of them."""
        files = ("config.yaml", "policies.yaml", "datadog.yaml", "cloudwatch-otlp.yaml", "secure.yaml")
        with Collector(tmp_path, *files, "secure-cloudwatch-otlp.yaml", env=env) as collector:
            for name in ("DD_API_KEY", "COLLECTOR_TOKEN", "AWS_SECRET_ACCESS_KEY"):
                assert env[name] not in collector.said


class TestStart:
    """A start says nothing that is not so."""

    # ClickHouse and Datadog's own exporter say that nobody answers, and nobody does here.
    EXPECTED = ("schema detection failed", "Error while validating API key", "unable to validate API key")

    @pytest.mark.parametrize(
        "overlay",
        ["local.yaml", "datadog.yaml", "datadog-agentless-json.yaml", "datadog-traces.yaml", "cloudwatch.yaml",
         "cloudwatch-otlp.yaml", "clickhouse.yaml", "docker-logs.yaml", "secure.yaml"],
    )  # fmt: skip
    def test_no_warnings(self, overlay, env, tmp_path):
        """No deprecated name, no alias, no unset variable, no warning at all; and it ends when it is told to."""
        env = {**env, "DOCKER_LOGS": str(tmp_path / "*.log")}
        (tmp_path / "one.log").write_text("", "utf-8")
        with Collector(tmp_path / "collector", "config.yaml", "policies.yaml", overlay, env=env) as collector:
            assert collector.stop() == 0, collector.describe()
        odd = []
        for line in collector.said.splitlines():
            said = json.loads(line) if line.startswith("{") else {"level": "warn", "msg": line}
            if said["level"] not in {"info", "debug"} and not said["msg"].startswith(self.EXPECTED):
                odd.append(line)
        assert odd == []

    def test_comments_say_why(self):
        """Each file says at its top what it is for, and every long-lived number in it has a comment near it."""
        for path in CONFIGS:
            lines = path.read_text("utf-8").splitlines()
            head = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
            assert len(" ".join(head)) > 60, path.name
