"""The files that people deploy, read: which Collectors they start, with what command line, environment and mounts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
KUBERNETES = sorted((ROOT / "collector" / "kubernetes").glob("*.yaml"))
ECS = sorted((ROOT / "collector" / "ecs").glob("*.json"))


def compose():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


@dataclass
class Deployed:
    """One Collector of one file. `given` are the variables that come from outside: secrets, and what the shell has."""

    name: str
    image: str
    arguments: list
    environment: dict = field(default_factory=dict)
    given: list = field(default_factory=list)
    folder: str = ""
    memory_mib: int = 0

    def configs(self):
        """The configurations of its command line, as files of `collector/`."""
        prefix = f"--config={self.folder}/"
        assert all(one.startswith(prefix) for one in self.arguments), self.arguments
        return [ROOT / "collector" / one.removeprefix(prefix) for one in self.arguments]


def collectors():
    return [*_of_compose(), *_of_kubernetes(), *_of_ecs()]


def plain(value):
    """`${NAME:-default}` as compose fills it in where nobody set NAME."""
    if isinstance(value, str) and value.startswith("${"):
        return value[2:-1].partition(":-")[2]
    return value


def _of_compose():
    for name, service in compose()["services"].items():
        if "opentelemetry-collector" in service["image"]:
            variables = service["environment"]
            mounts = dict(one.split(":")[:2] for one in service["volumes"])
            yield Deployed(
                f"compose-{name}",
                service["image"],
                service["command"],
                {key: plain(value) for key, value in variables.items() if value is not None},
                [key for key, value in variables.items() if value is None],
                mounts["./collector"],
                int(service["mem_limit"].removesuffix("m")),
            )


def _of_kubernetes():
    for path in KUBERNETES:
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            pod = document["spec"].get("template", {}).get("spec", {})
            for container in (*pod.get("initContainers", []), *pod.get("containers", [])):
                if "opentelemetry-collector" not in container["image"]:
                    continue
                literal = {one["name"]: one["value"] for one in container["env"] if "value" in one}
                literal = {key: value.replace("$(POD_IP)", "127.0.0.1") for key, value in literal.items()}
                limit = container["resources"]["limits"]["memory"]
                (mount,) = [one for one in container["volumeMounts"] if one["name"] == "collector-config"]
                yield Deployed(
                    f"kubernetes-{path.stem}",
                    container["image"],
                    container["args"],
                    literal,
                    [one["name"] for one in container["env"] if "secretKeyRef" in one.get("valueFrom", {})],
                    mount["mountPath"],
                    {"512Mi": 512, "1Gi": 1024}[limit],
                )


def _of_ecs():
    for path in ECS:
        definition = json.loads(path.read_text(encoding="utf-8"))
        (container,) = [one for one in definition["containerDefinitions"] if one["name"] == "collector"]
        yield Deployed(
            f"ecs-{path.stem}",
            container["image"],
            container["command"],
            {one["name"]: one["value"] for one in container["environment"]},
            [one["name"] for one in container.get("secrets", [])],
            "/etc/otelcol-contrib",
            container["memory"],
        )
