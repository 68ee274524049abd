"""What docker compose, Kubernetes and ECS start as Collectors: the real program takes each command line as it stands."""

from __future__ import annotations

import os
import re
import subprocess

import deployment_files
import pytest
import yaml
from collector_program import collector_program

DEPLOYED = deployment_files.collectors()
ALL = pytest.mark.parametrize("deployed", DEPLOYED, ids=lambda one: one.name)


def test_there_are_all_of_them():
    """Three in compose, two in Kubernetes, two in ECS."""
    kinds = [one.name.partition("-")[0] for one in DEPLOYED]
    assert kinds == ["compose"] * 3 + ["kubernetes"] * 2 + ["ecs"] * 2


def validate(deployed, environment):
    command = [collector_program(), "validate", *(f"--config={path}" for path in deployed.configs())]
    return subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@ALL
def test_the_collector_takes_it(deployed):
    """`validate` with exactly these --config and exactly this environment finds nothing wrong, nor anything to warn of."""
    done = validate(deployed, deployed.environment | dict.fromkeys(deployed.given, "given"))
    assert (done.returncode, done.stderr.strip()) == (0, ""), done.stderr


@ALL
def test_all_variables_are_ones_that_are_read(deployed):
    """Each variable that is set is read by one of the configurations, by Go, or by the AWS SDK: none is misspelled."""
    text = "".join(path.read_text(encoding="utf-8") for path in deployed.configs())
    read = set(re.findall(r"\$\{env:(\w+)", text))
    elsewhere = {"GOMEMLIMIT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
    assert {*deployed.environment, *deployed.given} <= read | elsewhere


@ALL
def test_all_variables_that_are_needed_are_set(deployed):
    """A variable without a default is set by the file, or handed on from outside."""
    text = "".join(path.read_text(encoding="utf-8") for path in deployed.configs())
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    needed = set(re.findall(r"\$\{env:(\w+)\}", text)) - {"HOSTNAME"}
    assert needed <= {*deployed.environment, *deployed.given}


@ALL
def test_one_version(deployed):
    """Everywhere the version that the tests' Collector is built from; never `latest`."""
    manifest = yaml.safe_load((deployment_files.ROOT / "collector" / "builder.yaml").read_text(encoding="utf-8"))
    assert deployed.image.endswith(f":{manifest['dist']['version']}")


@ALL
def test_memory_limits_are_in_order(deployed):
    """The Collector refuses before Go collects harder, and Go does before the kernel kills: each limit below the next."""
    refuses = int(deployed.environment["COLLECTOR_MEMORY_LIMIT_MIB"])
    go = int(deployed.environment["GOMEMLIMIT"].removesuffix("MiB"))
    assert refuses < go <= 0.82 * deployed.memory_mib
    assert int(deployed.environment["COLLECTOR_MEMORY_SPIKE_MIB"]) < refuses


@ALL
def test_policies_come_along(deployed):
    """None starts without the safety net of policies.yaml."""
    assert "policies.yaml" in [path.name for path in deployed.configs()]
