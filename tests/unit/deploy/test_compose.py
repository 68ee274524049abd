"""`docker-compose.yml`: valid by the Compose Specification, hardened throughout, without secrets, with commands that exist."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import deployment_files
import jsonschema
import pytest

from otel_logging import cli
from otel_logging.demo import parts

ROOT = deployment_files.ROOT
FILE = deployment_files.compose()
SERVICES = FILE["services"]
PROFILES = {"local", "datadog", "cloudwatch"}
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("otel-logging:")}
RUNNING = {name: one for name, one in SERVICES.items() if name != "init-volumes"}
EACH = pytest.mark.parametrize("name", SERVICES)


def test_schema():
    """The file is what the Compose Specification's schema asks for."""
    schema = json.loads((ROOT / "tests" / "schemas" / "compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    errors = list(jsonschema.Draft7Validator(schema).iter_errors(FILE))
    assert errors == []


def test_the_schema_objects():
    """The schema is no rubber stamp: a key that does not exist is an error."""
    schema = json.loads((ROOT / "tests" / "schemas" / "compose-spec.json").read_text(encoding="utf-8"))
    wrong = {**FILE, "services": {**SERVICES, "more": {"image": "x:1", "memory_limit": "1g"}}}
    assert not jsonschema.Draft7Validator(schema).is_valid(wrong)


@EACH
def test_hardened(name):
    """No root but for the one that changes owners, a read-only file system, no capabilities, no new privileges, a limit."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service
    assert re.fullmatch(r"\d+m", service["mem_limit"])
    if name == "init-volumes":
        assert service["cap_add"] == ["CHOWN"]
        assert service["network_mode"] == "none"
    else:
        assert "cap_add" not in service
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])


@EACH
def test_ports_on_loopback_only(name):
    """Nothing is published to the network."""
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@EACH
def test_images_are_pinned(name):
    """An exact version everywhere."""
    assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+(-alpine)?", SERVICES[name]["image"])


def test_our_image_is_this_version():
    """The tag of our image is the project's version, and it is built from this tree."""
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert {one["image"] for one in OURS.values()} == {f"otel-logging:{version}"}
    assert all(one["build"] == {"context": "."} for one in OURS.values())


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_a_profile_has_everything(profile):
    """Each profile has one Collector under the same name, the demonstration, the check and a page, and no port twice."""
    started = {name: one for name, one in SERVICES.items() if profile in one["profiles"]}
    collectors = [one for name, one in started.items() if name.startswith("collector-")]
    assert [one["hostname"] for one in collectors] == ["collector"]
    assert {"init-volumes", "redis", "doctor", "demo-worker", "demo-voice", "demo-caller"} <= started.keys()
    ports = [port for one in started.values() for port in one.get("ports", [])]
    assert len(ports) == len(set(ports))
    for name, one in started.items():
        needed = one.get("depends_on", {})
        absent = {other for other, how in needed.items() if other not in started and how.get("required", True)}
        assert not absent, name


def test_profiles_are_the_promised_ones():
    """Nothing starts without a profile, and there are three."""
    assert {profile for one in SERVICES.values() for profile in one["profiles"]} == PROFILES


def test_no_secrets():
    """What is secret has no value in the file: it is handed on from the shell or `.env`, and .env.example lists it empty."""
    example = dict(
        line.split("=", 1)
        for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
        if "=" in line and not line.startswith("#")
    )
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{(\w+)", text))
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"KEY|SECRET|TOKEN|PASSWORD", variable):
                assert value is None, f"{name}: {variable}"
                assert example[variable] == "", variable
                used.add(variable)
    assert used - {"LOG_LEVEL"} == example.keys()
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", OURS)
def test_our_commands_are_understood(name):
    """Each command line is one that our command understands, down to its options."""
    verb, *rest = OURS[name]["command"]
    assert verb in cli.VERBS
    if verb == "demo":
        parts.parser(rest[0]).parse_args(rest[1:])
    else:
        module = importlib.import_module(f"otel_logging.cli.{verb}")
        (module.parser if hasattr(module, "parser") else module._parser)().parse_args(rest)


@pytest.mark.parametrize("name", OURS)
def test_what_is_written_has_a_place(name):
    """On a read-only file system, a service with a store has a volume for it."""
    service = OURS[name]
    mounted = {one.split(":")[1] for one in service.get("volumes", [])}
    if "OTEL_EXPORTER_OTLP_ENDPOINT" in service.get("environment", {}):
        assert "/var/lib/otel-logging" in mounted
    assert all(one.split(":")[0] in FILE["volumes"] for one in service.get("volumes", []))


def test_collector_listens_where_the_services_send():
    """The endpoint of the services is the Collector's, by the name that it has on the network, and never 0.0.0.0."""
    for one in deployment_files.collectors():
        if not one.name.startswith("compose"):
            continue
        assert "0.0.0.0" not in str(one.environment)
        for service in OURS.values():
            endpoint = service.get("environment", {}).get("OTEL_EXPORTER_OTLP_ENDPOINT")
            assert endpoint in {None, f"http://{one.environment['COLLECTOR_OTLP_HTTP_ENDPOINT']}"}


@pytest.mark.parametrize("name", [name for name in SERVICES if name.startswith("collector-")])
def test_queue_is_on_a_volume_made_writable(name):
    """The Collector's folders are volumes, and each is given to its user before it starts."""
    service = SERVICES[name]
    assert service["depends_on"]["init-volumes"] == {"condition": "service_completed_successfully"}
    volumes = dict(one.split(":")[:2] for one in service["volumes"])
    assert volumes["collector-state"] == "/var/lib/otelcol"
    given = dict(one.split(":")[:2] for one in SERVICES["init-volumes"]["volumes"])
    _, owner, *folders = SERVICES["init-volumes"]["command"]
    assert owner == service["user"]
    assert {volume for volume, folder in given.items() if folder in folders} == volumes.keys() - {"./collector"}


def test_mounts_exist():
    """What is mounted from this tree is there."""
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            if mount.startswith("."):
                assert (ROOT / mount.split(":")[0]).is_dir()
    assert Path(ROOT / "docs").is_dir()
