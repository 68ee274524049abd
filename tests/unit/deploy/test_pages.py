"""The pages on deploying: their commands name what there is, their snippets are valid by the programs that read them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import deployment_files
import jsonschema
import pytest
import yaml
from datadog_api_client.v1.model.logs_attribute_remapper import LogsAttributeRemapper

from otel_logging.doctor.examination import config_findings
from otel_logging.doctor.finding import OK

ROOT = deployment_files.ROOT
COMPOSE, HOST, CONSOLE = (
    (ROOT / "docs" / "how-to" / f"{name}.md").read_text(encoding="utf-8")
    for name in ("deploy-with-compose", "deploy-on-a-plain-host", "log-without-a-collector")
)
FILE = deployment_files.compose()
FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
# What the package of the Collector's releases starts: its service, without its comments.
PACKAGED = """
[Unit]
Description=OpenTelemetry Collector Contrib
After=network.target

[Service]
EnvironmentFile=/etc/otelcol-contrib/otelcol-contrib.conf
ExecStart=/usr/bin/otelcol-contrib $OTELCOL_OPTIONS
KillMode=mixed
Restart=on-failure
Type=simple
User=otelcol-contrib
Group=otelcol-contrib

[Install]
WantedBy=multi-user.target
"""


def blocks(page, language):
    """The fenced blocks of a language, without the page's indentation."""
    return [
        "\n".join(line[len(found[1]) :] for line in found[3].splitlines()) + "\n"
        for found in FENCE.finditer(page)
        if found[2] == language
    ]


def settings(text):
    """`NAME=value` lines."""
    return dict(line.split("=", 1) for line in text.splitlines() if line)


class TestCompose:
    COMMANDS = re.findall(r"docker compose (.+?)[`\n]", COMPOSE)

    def test_there_are_some(self):
        """The page goes from `up` to the doctor's word for both back ends."""
        assert any(one.startswith("--profile datadog up") for one in self.COMMANDS)
        assert any(one.startswith("--profile cloudwatch logs doctor") for one in self.COMMANDS)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_commands_name_what_there_is(self, command):
        """Profiles and services of each command are those of docker-compose.yml."""
        words = command.split()
        profiles = {name for one in FILE["services"].values() for name in one.get("profiles", [])}
        asked = {words[number + 1] for number, word in enumerate(words) if word == "--profile"}
        assert asked <= profiles
        verb = next(word for word in words if word in {"up", "down", "logs", "run"})
        services = [word for word in words[words.index(verb) + 1 :] if not word.startswith("-")]
        assert set(services) <= FILE["services"].keys()
        for name in services:
            assert not asked or asked & set(FILE["services"][name]["profiles"])

    def test_variables_are_those_of_the_example(self):
        """What is to be put into `.env` stands in `.env.example`, and the services read it."""
        example = settings(re.sub(r"^#.*$", "", (ROOT / ".env.example").read_text("utf-8"), flags=re.MULTILINE))
        names = {name for block in blocks(COMPOSE, "ini") for name in settings(block)}
        assert names
        assert names | {"OTEL_LOGGING_SERVE_TOKEN"} <= example.keys()
        assert "OTEL_LOGGING_SERVE_TOKEN" in COMPOSE

    def test_addresses_are_published(self):
        """The addresses on the page are ports that the services publish."""
        published = {port.rpartition(":")[0] for one in FILE["services"].values() for port in one.get("ports", [])}
        for address in re.findall(r"http://(127\.0\.0\.1:\d+)", COMPOSE):
            assert address in published

    def test_log_group_is_the_configurations(self):
        """The group in which to look is the one that the Collector writes to."""
        group = re.search(r"log group `(\S+)`", COMPOSE)[1]
        environment = FILE["services"]["collector-cloudwatch"]["environment"]
        assert group in environment["CLOUDWATCH_LOG_GROUP"]
        assert group in (ROOT / "collector" / "cloudwatch.yaml").read_text("utf-8")
        (policy,) = map(json.loads, blocks(COMPOSE, "json"))
        assert policy["Statement"][0]["Resource"].endswith(f"log-group:{group}*")

    @pytest.mark.parametrize("page", [COMPOSE, CONSOLE], ids=["compose", "console"])
    def test_snippets_are_valid(self, page):
        """Each piece of Compose is valid by its schema, alone or within a service."""
        schema = json.loads((ROOT / "tests" / "schemas" / "compose-spec.json").read_text("utf-8"))
        found = blocks(page, "yaml")
        assert found
        for text in found:
            piece = yaml.safe_load(text)
            whole = piece if "services" in piece else {"services": {"x": {"image": "x", **piece}}}
            assert list(jsonschema.Draft7Validator(schema).iter_errors(whole)) == []

    def test_the_health_check_is_a_command(self):
        """What the health check runs is understood, and sends nothing."""
        from otel_logging.cli import doctor

        (check,) = [yaml.safe_load(text) for text in blocks(COMPOSE, "yaml") if text.startswith("healthcheck")]
        kind, program, verb, *words = check["healthcheck"]["test"]
        assert (kind, program, verb) == ("CMD", "otel-logging", "doctor")
        assert doctor._parser().parse_args(words).no_record


class TestPlainHost:
    def test_the_options_name_our_files(self):
        """The Collector's options name files of `collector/`, which are well together."""
        (block,) = blocks(HOST, "ini")
        given = settings(block)
        names = re.findall(r"--config=/etc/otelcol-contrib/(\S+?\.yaml)", given["OTELCOL_OPTIONS"])
        found = config_findings([ROOT / "collector" / name for name in names])
        assert [one.verdict for one in found] == [OK]
        text = "".join((ROOT / "collector" / name).read_text("utf-8") for name in names)
        assert all(f"${{env:{name}" in text for name in given if name.startswith("DD_"))
        assert "${env:AWS_REGION" in (ROOT / "collector" / "cloudwatch.yaml").read_text("utf-8")

    def test_the_version_is_the_one_we_test(self):
        """The package is of the version that the tests run."""
        assert "`otelcol-contrib` 0.159.0" in HOST
        assert "version: 0.159.0" in (ROOT / "collector" / "builder.yaml").read_text("utf-8")

    def test_folders_are_the_configurations(self):
        """The state folder is where the configuration puts its queue and its files."""
        config = (ROOT / "collector" / "config.yaml").read_text("utf-8")
        assert "${env:COLLECTOR_STATE_DIR:-/var/lib/otelcol}/queue" in config
        assert "${env:COLLECTOR_OUTPUT_DIR:-/var/lib/otelcol/output}" in config

    def test_units_are_valid(self, tmp_path):
        """Both units are what systemd understands, without a warning."""
        if shutil.which("systemd-analyze") is None:
            pytest.skip("no systemd here")
        more, ours = blocks(HOST, "systemd")
        (tmp_path / "otelcol-contrib.service").write_text(_runnable(PACKAGED), "utf-8")
        folder = tmp_path / "otelcol-contrib.service.d"
        folder.mkdir()
        (folder / "otel-logging.conf").write_text(more, "utf-8")
        (tmp_path / "voice-calls.service").write_text(_runnable(ours), "utf-8")
        done = self.verify(tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        # That it finds mistakes at all, in the drop-in as well:
        (folder / "otel-logging.conf").write_text(more.replace("ProtectHome", "ProtectHouse"), "utf-8")
        assert "ProtectHouse" in self.verify(tmp_path).stderr

    @staticmethod
    def verify(folder):
        units = sorted(folder.glob("*.service"))
        return subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, timeout=60, check=False
        )

    def test_the_service_gets_what_it_needs(self):
        """The application's unit sets only variables that are read, and a store that it makes."""
        from otel_logging.settings import TABLE

        ours = blocks(HOST, "systemd")[1]
        names = {
            name
            for line in re.findall(r"^Environment=(.*)$", ours, re.MULTILINE)
            for name in re.findall(r"(\w+)=", line)
        }
        known = {row.variable for row in TABLE} | {"OTEL_EXPORTER_OTLP_ENDPOINT", "PYTHONUNBUFFERED"}
        assert names <= known
        folder = re.search(r"OTEL_LOGGING_STORE=/var/lib/(\S+)", ours)[1]
        assert f"StateDirectory={folder}\n" in ours


def _runnable(unit):
    """The unit with programs and users that this machine has: there is nothing else to run them with."""
    unit = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit, flags=re.MULTILINE)
    return re.sub(r"^(User|Group)=.*$", r"\1=root", unit, flags=re.MULTILINE)


class TestConsole:
    def test_the_remapper_is_datadogs(self):
        """The one remapper is what Datadog's client takes for one, and moves our `exception`."""
        (text,) = blocks(CONSOLE, "json")
        remapper = json.loads(text)
        assert remapper.keys() <= LogsAttributeRemapper.openapi_types.keys()
        assert LogsAttributeRemapper(**remapper).target == "error.stack"
        assert remapper["sources"] == ["exception"]

    def test_keys_are_those_of_a_line(self):
        """The keys in the page's table are those of a JSON line."""
        from otel_logging.export.lines import FIXED_KEYS

        table = CONSOLE[CONSOLE.index("| our key |") : CONSOLE.index("Of these, only")]
        named = {
            name
            for row in table.splitlines()[2:]
            for name in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else "")
        }
        assert named
        assert named <= FIXED_KEYS

    def test_the_limit_is_the_codes(self):
        """The length that the page promises is the one in the code, and below what each reader takes."""
        from log_drivers import AGENT_BYTES, EVENT_BYTES, OLD_AGENT_BYTES

        from otel_logging.export.line_size import MAX_BYTES

        assert f"{MAX_BYTES:,} bytes" in CONSOLE
        assert max(MAX_BYTES, EVENT_BYTES) < AGENT_BYTES
        assert min(EVENT_BYTES, OLD_AGENT_BYTES) > MAX_BYTES
        for limit in (EVENT_BYTES, AGENT_BYTES, OLD_AGENT_BYTES):
            assert f"{limit:,}" in CONSOLE

    def test_the_drivers_options_exist(self):
        """Options of the awslogs driver are those that it has."""
        known = {
            "awslogs-region", "awslogs-group", "awslogs-stream", "awslogs-create-group", "awslogs-create-stream",
            "awslogs-format", "tag", "mode", "max-buffer-size",
        }  # fmt: skip
        first = yaml.safe_load(blocks(CONSOLE, "yaml")[0])
        logging = first["services"]["voice-calls"]["logging"]
        assert logging["driver"] == "awslogs"
        assert logging["options"].keys() <= known

    def test_the_label_is_json(self):
        """The Agent's label is JSON in a text."""
        second = yaml.safe_load(blocks(CONSOLE, "yaml")[1])
        label = second["services"]["voice-calls"]["labels"]["com.datadoghq.ad.logs"]
        assert json.loads(label) == [{"source": "python", "service": "voice-calls"}]
