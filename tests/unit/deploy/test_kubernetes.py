"""`collector/kubernetes/`: valid by Kubernetes' own schemas, hardened, probed, with secrets by reference only."""

from __future__ import annotations

import re

import deployment_files
import kubernetes_validate
import pytest
import yaml

DOCUMENTS = [
    pytest.param(document, id=f"{path.stem}-{document['kind']}")
    for path in deployment_files.KUBERNETES
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]
PODS = [
    pytest.param(param.values[0]["spec"]["template"]["spec"], id=param.id)
    for param in DOCUMENTS
    if "template" in param.values[0]["spec"]
]


def containers(pod):
    return [*pod.get("initContainers", []), *pod["containers"]]


@pytest.mark.parametrize("version", ["1.29.0", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("document", DOCUMENTS)
def test_schema(document, version):
    """Each object is one that Kubernetes' schema takes, without an unknown key: the oldest that we name, and the newest."""
    kubernetes_validate.validate(document, version, strict=True)


def test_there_are_all():
    """A sidecar and a DaemonSet, with what the latter needs."""
    assert [param.id for param in DOCUMENTS] == [
        "daemonset-DaemonSet", "daemonset-Service", "daemonset-NetworkPolicy", "sidecar-Deployment",
    ]  # fmt: skip


@pytest.mark.parametrize("pod", PODS)
def test_hardened(pod):
    """Every container: no root (but for changing an owner), no new privileges, no capabilities, read-only, limited memory."""
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["securityContext"]["fsGroup"] == 10001
    for container in containers(pod):
        own = {**pod["securityContext"], **container["securityContext"]}
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"]["drop"] == ["ALL"]
        assert container["resources"]["limits"]["memory"]
        assert container["resources"]["requests"]["memory"]
        assert re.search(r":\d+\.\d+\.\d+$", container["image"])
        if container["name"] == "init-state":
            assert own["capabilities"]["add"] == ["CHOWN"]
        else:
            assert own["runAsNonRoot"] is True
            assert own["runAsUser"] == own["runAsGroup"] == 10001
            assert "add" not in own["capabilities"]


@pytest.mark.parametrize("pod", PODS)
def test_mounts_are_volumes(pod):
    """Each mount has its volume, each volume its mount, and what containers write to is one of them."""
    mounted = {one["name"] for container in containers(pod) for one in container.get("volumeMounts", [])}
    assert mounted == {one["name"] for one in pod["volumes"]}
    for container in containers(pod):
        for one in container.get("env", []):
            if one["name"] == "OTEL_LOGGING_STORE":
                assert any(one["value"].startswith(mount["mountPath"]) for mount in container["volumeMounts"])


@pytest.mark.parametrize("pod", PODS)
def test_probes_ask_the_health_check(pod):
    """The Collector is probed at its health check, which listens where the kubelet can reach it."""
    (collector,) = [one for one in containers(pod) if one["name"] == "collector"]
    ports = {one["name"]: one["containerPort"] for one in collector["ports"]}
    listens = next(one["value"] for one in collector["env"] if one["name"] == "COLLECTOR_HEALTH_ENDPOINT")
    assert listens == f"$(POD_IP):{ports['health']}"
    probes = [value for name, value in collector.items() if name.endswith("Probe")]
    assert len(probes) == 2
    assert all(one["httpGet"] == {"path": "/", "port": "health"} for one in probes)


@pytest.mark.parametrize("pod", PODS)
def test_secrets_by_reference(pod):
    """No key or token has a value in the file."""
    for container in containers(pod):
        for one in container.get("env", []):
            if re.search(r"API_KEY|SECRET|TOKEN|PASSWORD|HEADERS", one["name"]):
                assert "value" not in one
                assert one["valueFrom"]["secretKeyRef"]["key"]


def test_sidecar_stays_on_loopback():
    """Beside one service, the Collector takes records from its own pod only, is there first, and ends last."""
    (pod,) = [param.values[0] for param in PODS if param.id == "sidecar-Deployment"]
    (collector,) = pod["initContainers"]
    assert collector["restartPolicy"] == "Always"
    assert "startupProbe" in collector
    names = {one["name"] for one in collector["env"]}
    assert names.isdisjoint({"COLLECTOR_OTLP_GRPC_ENDPOINT", "COLLECTOR_OTLP_HTTP_ENDPOINT"})
    endpoint = {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}["OTEL_EXPORTER_OTLP_ENDPOINT"]
    assert endpoint == "http://127.0.0.1:4318"


def test_daemonset_is_not_open():
    """Where others can reach it, there are TLS, a token and a network policy, and its service stays on the node."""
    (pod,) = [param.values[0] for param in PODS if param.id == "daemonset-DaemonSet"]
    (collector,) = pod["containers"]
    assert any(one.endswith("/secure.yaml") for one in collector["args"])
    by_kind = {param.id: param.values[0] for param in DOCUMENTS}
    assert by_kind["daemonset-Service"]["spec"]["internalTrafficPolicy"] == "Local"
    open_ports = {
        port["port"]
        for rule in by_kind["daemonset-NetworkPolicy"]["spec"]["ingress"]
        if "from" not in rule
        for port in rule["ports"]
    }
    assert open_ports == {"metrics"}


@pytest.mark.parametrize("path", deployment_files.KUBERNETES, ids=lambda path: path.stem)
def test_the_config_map_has_what_is_started(path):
    """The command at the top of the file puts exactly those configurations into the map that the Collector is started with."""
    text = path.read_text(encoding="utf-8")
    made = set(re.findall(r"--from-file=collector/([\w-]+\.yaml)", text))
    (deployed,) = [one for one in deployment_files.collectors() if one.name == f"kubernetes-{path.stem}"]
    assert made == {config.name for config in deployed.configs()}
