"""`Dockerfile`: pinned bases, no root, no secrets; what it copies is there, and what it runs works in a virtual environment."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import deployment_files
import pytest

ROOT = deployment_files.ROOT


def instructions():
    """(instruction, arguments) of the file, continued lines joined, comments left out."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(" ", 1)) for line in joined.splitlines() if line.strip()]


def stages():
    """The stages, each a list of instructions, by name; the last one, which has none, under ''."""
    found: dict = {}
    for word, rest in instructions():
        if word == "FROM":
            name = rest.partition(" AS ")[2]
            found[name] = []
        found[name].append((word, rest))
    return found


def ignored(path):
    """Whether `.dockerignore` keeps a path out of the build; the last rule that fits decides."""
    out = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        pattern = rule.removeprefix("!").removeprefix("**/")
        parents = ["/".join(path.split("/")[: number + 1]) for number in range(path.count("/") + 1)]
        places = [*parents, path.rsplit("/", 1)[-1]] if "**/" in rule else parents
        places += path.split("/") if "**/" in rule else []
        expression = re.escape(pattern).replace(r"\*", "[^/]*")
        if any(re.fullmatch(expression, place) for place in places):
            out = not rule.startswith("!")
    return out


def test_bases_are_pinned():
    """Every stage begins with an exact version, of Python one that the project supports."""
    bases = [rest.partition(" AS ")[0] for word, rest in instructions() if word == "FROM"]
    assert len(bases) == 3
    assert all(re.search(r":\d+\.\d+\.\d+(-slim-bookworm)?$", base) for base in bases)
    minor = re.match(r"python:(\d+\.\d+)\.", bases[-1])[1]
    assert f"Python :: {minor}" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert bases[0] == bases[-1], "what was built for one Python would run on another"
    manifest = (ROOT / "collector" / "builder.yaml").read_text(encoding="utf-8")
    assert f"version: {bases[1].rpartition(':')[2]}" in manifest


@pytest.mark.parametrize("stage", ["", "collector"])
def test_not_root(stage):
    """What runs is a plain user, by number, so that orchestrators can check it; nothing comes after."""
    users = [(number, rest) for number, (word, rest) in enumerate(stages()[stage]) if word == "USER"]
    assert [rest for _, rest in users] == ["10001:10001"]
    assert {word for word, _ in stages()[stage][users[0][0] + 1 :]} <= {"ENTRYPOINT", "CMD"}


def test_no_secrets():
    """Nothing secret is an argument, a variable or a file of the image."""
    text = "\n".join(f"{word} {rest}" for word, rest in instructions())
    assert not re.search(r"(?i)key|secret|token|password|--mount=type=secret|\.env\b", text)
    assert "ARG" not in {word for word, _ in instructions()}


def copied():
    """Paths of this tree that are copied into the image."""
    for word, rest in instructions():
        if word == "COPY" and "--from=" not in rest:
            *sources, _target = rest.split()
            for source in sources:
                yield from ROOT.glob(source)


def test_what_is_copied_is_there_and_not_ignored():
    """`.dockerignore` lets in exactly what is copied."""
    paths = [path.relative_to(ROOT).as_posix() for path in copied()]
    assert {"pyproject.toml", "README.md", "LICENSE", "otel_logging", "collector/config.yaml"} <= {*paths}
    assert not [path for path in paths if ignored(path)]
    for path in (
        ".env",
        ".git/config",
        "docs/tutorial/first-call.md",
        "tests/conftest.py",
        ".venv/bin/python",
        "collector/monitors/cloudwatch.yaml",
    ):
        assert ignored(path), path
    assert ignored("otel_logging/__pycache__/settings.cpython-311.pyc")
    assert not ignored("otel_logging/settings.py")


def test_every_collector_configuration_is_in_the_image():
    """ECS starts the Collector from it, with configurations that are all there."""
    there = {path.name for path in copied() if path.parent.name == "collector"}
    for one in deployment_files.collectors():
        assert {config.name for config in one.configs()} <= there


def test_the_folder_of_the_store_is_the_users():
    """The store's folder is made for the user, private, and is where the variable points."""
    runtime = stages()[""]
    (made,) = [rest for word, rest in runtime if word == "RUN"]
    folder = made.split()[-1]
    assert {"--owner=10001", "--group=10001", "--mode=0700"} <= set(made.split())
    (variables,) = [rest for word, rest in runtime if word == "ENV"]
    assert f"OTEL_LOGGING_STORE={folder}" in variables.split()


def test_the_entry_point_is_a_command_of_the_package():
    """What the image runs is what the project installs."""
    (entry,) = [json.loads(rest) for word, rest in stages()[""] if word == "ENTRYPOINT"]
    assert entry == ["otel-logging"]
    assert re.search(r"^otel-logging = ", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.slow
def test_what_it_runs_works(tmp_path):
    """From the files that are copied, and no others, the build's own commands make an environment whose command works."""
    tree = tmp_path / "src"
    for path in copied():
        for one in path.rglob("*") if path.is_dir() else [path]:
            if one.is_dir():
                continue
            name = one.relative_to(ROOT).as_posix()
            if not ignored(name):
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(one, tree / name)
    target = tmp_path / "otel-logging"
    for word, rest in stages()["build"]:
        if word == "RUN" and "/opt/otel-logging" in rest:
            line = rest.replace("/opt/otel-logging", str(target)).replace("python -m venv", f"{sys.executable} -m venv")
            subprocess.run(["sh", "-euc", line], cwd=tree, check=True, timeout=600)
    said = subprocess.run(
        [target / "bin" / "otel-logging", "demo", "voice", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert said.returncode == 0, said.stderr
    needs = "import boto3, datadog_api_client, clickhouse_connect, starlette, uvicorn, rq, flask"
    subprocess.run([target / "bin" / "python", "-c", needs], check=True, timeout=60, cwd=tmp_path)
