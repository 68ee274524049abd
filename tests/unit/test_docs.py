"""What the documentation says is so: its commands are understood, its Python runs, its links lead somewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from otel_logging import cli
from otel_logging.settings import TABLE

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "SECURITY.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").glob("*.md"),
        *(ROOT / "collector").glob("*.md"),
    ]
)
FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
OTLP = {
    f"OTEL_EXPORTER_OTLP_{name}" for name in ("ENDPOINT", "CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY", "HEADERS")
}
README_COMMANDS = (
    "python3 -m venv .venv && .venv/bin/pip install '.[demo]' && .venv/bin/otel-logging demo",
    "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest",
)


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def blocks(language):
    """Every fenced block of a language, with its page and number."""
    for page in PAGES:
        found = [match for match in FENCE.finditer(page.read_text(encoding="utf-8")) if match[2] == language]
        for number, match in enumerate(found):
            indent = len(match[1])
            text = "\n".join(line[indent:] for line in match[3].splitlines())
            yield pytest.param(text, id=f"{name_of(page)}-{number}")


def commands():
    """Every `otel-logging …` line of the pages' shell blocks, without the variables set before it."""
    for block in blocks("bash"):
        for line in block.values[0].splitlines():
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if words and words[0] == "otel-logging":
                yield pytest.param(words[1:], id=f"{block.id}-{'-'.join(words[1:3])}")


def variables():
    """Every variable that a page's shell block sets for otel-logging."""
    for block in blocks("bash"):
        yield from (
            pytest.param(name, id=f"{block.id}-{name}")
            for name in re.findall(r"^([A-Z_]+)=", block.values[0].replace(" ", "\n"), re.MULTILINE)
        )


class TestCommands:
    @pytest.mark.parametrize("words", list(commands()))
    def test_is_understood(self, words, tmp_path, monkeypatch, capsys):
        """A command in the documentation is no wrong usage."""
        monkeypatch.setenv("OTEL_LOGGING_STORE", str(tmp_path))
        verb, *rest = words
        if verb == "run":
            from otel_logging.boot import run

            assert run.parse(rest).argv
        elif verb == "demo":
            from otel_logging.demo import main

            main.parser().parse_args(rest)
        elif verb == "serve":
            from otel_logging.cli import serve

            serve.parser().parse_args(rest)
        else:
            assert cli.main(words) in {0, 1}, capsys.readouterr().err

    def test_there_are_some(self):
        """The pages' commands are really found by this test."""
        assert {"run", "call", "calls", "search", "stats", "demo"} <= {param.values[0][0] for param in commands()}

    @pytest.mark.parametrize("name", sorted({param.values[0] for param in variables()}))
    def test_variables_are_settings(self, name):
        """A variable that the documentation sets is one that we or OpenTelemetry read."""
        assert name in {row.variable for row in TABLE} | OTLP

    @pytest.mark.parametrize("command", README_COMMANDS)
    def test_readme_commands_stand_as_they_must(self, command):
        """Both commands of the README stand on a line of their own: CI and people copy them."""
        assert (ROOT / "README.md").read_text(encoding="utf-8").splitlines().count(command) == 1


@pytest.mark.parametrize("code", list(blocks("python")))
def test_python_runs(code, tmp_path):
    """A Python block in the documentation runs as it stands, without an error or a warning of ours."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "otel-logging:" not in done.stderr


class TestImages:
    IMAGES = sorted((ROOT / "docs" / "images").iterdir())

    def test_are_small(self):
        """All pictures together are below 600 KB."""
        assert 0 < sum(path.stat().st_size for path in self.IMAGES) < 600_000
        assert {path.suffix for path in self.IMAGES} <= {".png", ".svg"}

    def test_ask_nobody(self):
        """A drawn picture loads nothing from anywhere, and shows no path of the machine it was made on."""
        for path in self.IMAGES:
            if path.suffix == ".svg":
                text = path.read_text(encoding="utf-8")
                assert not re.search(r"url\((?!#)|href=|<script|@font-face|@import", text), path.name
                assert not re.search(r'File "/(?!srv/)', text), path.name


class TestPages:
    @pytest.mark.parametrize("page", PAGES, ids=name_of)
    def test_links_lead_somewhere(self, page):
        """A link to another page names a file that exists, and a heading that it has."""
        for target in re.findall(r"\]\(([^)#\s]*(?:#[^)\s]*)?)\)", page.read_text(encoding="utf-8")):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, heading = target.partition("#")
            file = page.parent / path if path else page
            assert file.exists(), target
            if heading:
                titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
                slugs = {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}
                assert heading in slugs, target

    def test_every_page_is_reached_from_the_readme(self):
        """No page is an orphan: following links from the README finds them all."""
        todo, seen = [ROOT / "README.md"], set()
        while todo:
            page = todo.pop().resolve()
            if page in seen or page.suffix != ".md" or not page.exists():
                continue
            seen.add(page)
            targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", page.read_text(encoding="utf-8"))
            todo += [page.parent / target for target in targets if not re.match(r"[a-z]+:", target)]
        missing = [name_of(page) for page in (ROOT / "docs").rglob("*.md") if page.resolve() not in seen]
        assert not missing

    def test_settings_page_is_the_table(self):
        """docs/reference/settings.md is what its script makes of the table in the code."""
        spec = importlib.util.spec_from_file_location("generate_settings", ROOT / "docs" / "generate_settings.py")
        assert spec is not None
        assert spec.loader is not None
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        assert script.PAGE.read_text(encoding="utf-8") == script.page()

    def test_api_page_names_every_public_name(self):
        """Every name in `__all__` stands in docs/reference/api.md."""
        import otel_logging

        text = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
        assert not [name for name in otel_logging.__all__ if f"`{name}" not in text and name != "__version__"]

    def test_changelog_knows_this_version(self):
        """The changelog has a section for the version in the code."""
        import otel_logging

        assert f"## [{otel_logging.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
