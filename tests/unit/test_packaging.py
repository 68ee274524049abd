"""The house stands as DESIGN draws it: extras, package data, layers, light imports, small modules, tests that say why."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "otel_logging"
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))

# Top to bottom: a room may import its own and those below. The edge may import any, nobody may import the edge.
ROOMS = ("boot", "calls", "bridge", "policy", "export", "search")
EDGE = ("cli", "demo", "web")
SHARED = ("settings", "ids", "trouble")
LONGEST = 450


def name_of(path):
    return path.relative_to(PACKAGE).as_posix()


def imported_by(path):
    """Every module that a file imports, however late, by its full name; names of imported objects too."""
    package = ["otel_logging", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def rooms_imported_by(path):
    return {
        parts[1] for name in imported_by(path) if (parts := name.split("."))[0] == "otel_logging" and len(parts) > 1
    }


class TestDistribution:
    def test_extras(self):
        """The extras are those of the documentation, and `all` is exactly the five."""
        extras = set(metadata.metadata("otel-logging").get_all("Provides-Extra") or ())
        assert extras == {"cloudwatch", "datadog", "clickhouse", "web", "demo", "all", "test", "bench", "dev"}
        needs: dict[str, set[str]] = {}
        for line in metadata.requires("otel-logging") or ():
            requirement, _, extra = line.partition("; extra == ")
            needs.setdefault(extra.strip("'\""), set()).add(requirement)
        five = ("cloudwatch", "datadog", "clickhouse", "web", "demo")
        assert needs["all"] == set().union(*(needs[name] for name in five))

    def test_entry_points(self):
        """The command, both instrumentation hooks and both exporter plug-ins are declared and can be loaded."""
        points = {(point.group, point.name): point for point in metadata.distribution("otel-logging").entry_points}
        assert set(points) == {
            ("console_scripts", "otel-logging"),
            ("opentelemetry_pre_instrument", "otel_logging"),
            ("opentelemetry_post_instrument", "otel_logging"),
            ("opentelemetry_logs_exporter", "local"),
            ("opentelemetry_logs_exporter", "otel_logging"),
        }
        assert all(callable(point.load()) for point in points.values())

    @pytest.mark.parametrize("name", ["py.typed", "policy/bundled/voice.yaml", "boot/site/sitecustomize.py"])
    def test_package_data(self, name):
        """What the code finds by path is in the package; the wheel takes the whole folder."""
        assert (PACKAGE / name).is_file()


class TestLayers:
    @pytest.mark.parametrize("room", ROOMS)
    def test_nothing_imports_what_is_above_it(self, room):
        """A room imports only itself, the rooms below it and the shared modules."""
        allowed = {*ROOMS[ROOMS.index(room) :], *SHARED}
        for path in (PACKAGE / room).rglob("*.py"):
            wrong = {name for name in rooms_imported_by(path) if (PACKAGE / name).is_dir()} - allowed
            assert not wrong, f"{name_of(path)} imports {wrong}"

    @pytest.mark.parametrize("name", SHARED)
    def test_shared_modules_import_no_room(self, name):
        """What every room may import depends on none of them."""
        assert not rooms_imported_by(PACKAGE / f"{name}.py") & {*ROOMS, *EDGE}

    @pytest.mark.parametrize("room", ["policy", "search", "cli"])
    def test_rooms_that_know_no_opentelemetry(self, room):
        """Rules, search and the command line work without the SDK: no file of theirs imports any of it."""
        for path in (PACKAGE / room).rglob("*.py"):
            wrong = [name for name in imported_by(path) if name.split(".")[0] == "opentelemetry"]
            assert not wrong, f"{name_of(path)} imports {wrong}"

    def test_nobody_imports_the_edge(self):
        """Commands, demo and pages are used by people; `__main__` only hands over to the command line."""
        for path in MODULES:
            room = path.relative_to(PACKAGE).parts[0]
            if room in EDGE or room == "__main__.py":
                continue
            assert not rooms_imported_by(path) & set(EDGE), name_of(path)


class TestWeight:
    def modules_after(self, statement):
        code = f"import sys; {statement}; print('\\n'.join(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        return set(done.stdout.split())

    def heavy(self, names, *roots):
        return sorted(name for name in names if any(name == root or name.startswith(root + ".") for root in roots))

    def test_importing_the_package_is_light(self):
        """`import otel_logging` imports no part of OpenTelemetry's SDK and nothing that is not needed yet."""
        names = self.modules_after("import otel_logging")
        assert not self.heavy(names, "opentelemetry", "yaml", "re2", "rich", "asyncio", "requests", "boto3")

    def test_the_command_line_is_light(self):
        """The command line starts without OpenTelemetry, without rich and without the extras."""
        names = self.modules_after("import otel_logging.cli, otel_logging.cli.call, otel_logging.cli.search")
        assert not self.heavy(names, "opentelemetry", "rich", "boto3", "starlette", "uvicorn", "httpx")

    def test_configuring_needs_no_extra(self):
        """A configured process has imported neither the command line, nor rich, nor a server, nor a vendor's client."""
        names = self.modules_after("import otel_logging; otel_logging.configure(logs_exporter='none')")
        assert "opentelemetry.sdk._logs" in names
        extras = ("rich", "boto3", "datadog_api_client", "starlette", "uvicorn", "flask", "httpx", "rq", "celery")
        assert not self.heavy(names, *extras, "otel_logging.cli", "otel_logging.demo", "otel_logging.search")


class TestModules:
    @pytest.mark.parametrize("path", MODULES, ids=name_of)
    def test_is_small_and_says_what_it_is_for(self, path):
        """No module grows beyond what can be read at one sitting, and each begins with what it is for."""
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= LONGEST
        assert ast.get_docstring(ast.parse(text))

    def test_no_machine_is_written_into_the_tree(self):
        """No file names a folder of the machine it was written on."""
        suffixes = {".py", ".md", ".yaml", ".yml", ".toml", ".json", ".txt", ""}
        here = Path(__file__)
        folders = ("otel_logging", "tests", "docs", "examples", "benchmarks", "collector", ".ci")
        files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
        files += [path for path in ROOT.glob("*.*") if path.is_file()]
        wrong = [
            str(path.relative_to(ROOT))
            for path in files
            if path.suffix in suffixes and path != here and "__pycache__" not in path.parts
            if str(ROOT) in path.read_text(encoding="utf-8", errors="ignore")
        ]
        assert not wrong


def test_every_test_states_its_promise():
    """Every test function has a docstring that says what must hold, on its first line."""
    bare = []
    for path in TESTS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
                text = ast.get_docstring(node)
                if not text or not text.splitlines()[0].strip():
                    bare.append(f"{path.relative_to(ROOT)}::{node.name}")
    assert not bare


def test_no_test_is_skipped_or_expected_to_fail():
    """No test is switched off or expected to fail; one that asks whether the machine can run it is `.ci/run`'s to judge."""
    mark = re.compile(r"@pytest\.mark\.(?:skip|xfail)\b|pytest\.xfail\(|^pytest\.skip\(", re.MULTILINE)
    here = Path(__file__)
    assert not [str(path) for path in TESTS if path != here and mark.search(path.read_text(encoding="utf-8"))]
