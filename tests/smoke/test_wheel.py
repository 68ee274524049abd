"""The built and installed wheel, from a folder where the checkout is out of sight. Needs pytest and nothing else of ours.

`.ci/run` copies this folder elsewhere and runs it with `pytest -m smoke`. No fixture of the other tests is used.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import sysconfig
from importlib import metadata, resources
from pathlib import Path

import pytest

pytestmark = pytest.mark.smoke

CALL = "CA" + "0123456789abcdef" * 2
APP = f"""
import logging
import otel_logging

logging.basicConfig(level=logging.INFO)
with otel_logging.call({CALL!r}):
    logging.getLogger("app").info("hello from the wheel")
    for number in range(50):
        logging.getLogger("app").info(f"[AUDIO_DELTA] response_id=resp_1, bytes={{number}}")
"""


@pytest.fixture
def environ(tmp_path):
    """A bare environment: nothing of the checkout, nothing of the developer's settings."""
    keep = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
    return {name: os.environ[name] for name in keep if name in os.environ} | {"HOME": str(tmp_path)}


def command(*arguments, environ, cwd):
    """Run the installed `otel-logging` command."""
    script = Path(sysconfig.get_path("scripts")) / "otel-logging"
    return subprocess.run(
        [str(script), *arguments], env=environ, cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )


def python(code, *, environ, cwd):
    """Run code in a fresh interpreter, away from any checkout."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_is_light(environ, tmp_path):
    """`import otel_logging` imports no part of the OTel SDK, no instrumentation and none of the extras."""
    heavy = "('opentelemetry.sdk', 'opentelemetry.instrumentation', 'rich', 'boto3', 'starlette', 'yaml', 're2')"
    code = f"import otel_logging, sys; print([name for name in sys.modules if name.startswith({heavy})])"
    assert python(code, environ=environ, cwd=tmp_path).strip() == "[]"


def test_every_public_name_is_there(environ, tmp_path):
    """Each name in `__all__` can be fetched from the installed package."""
    code = "import otel_logging; print(all(getattr(otel_logging, name) is not None for name in otel_logging.__all__))"
    assert python(code, environ=environ, cwd=tmp_path).strip() == "True"


def test_version(environ, tmp_path):
    """`otel-logging --version` prints the wheel's own version."""
    done = command("--version", environ=environ, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.split()[-1] == metadata.version("otel-logging")


@pytest.mark.parametrize(
    "name", ["py.typed", "policy/bundled/voice.yaml", "boot/site/sitecustomize.py", "demo/server/asgi.py"]
)
def test_data_files_are_in_the_wheel(name):
    """What is no module, or is found by path, is packed too."""
    assert resources.files("otel_logging").joinpath(name).is_file()


def test_entry_points_load():
    """Every entry point that the wheel declares points at something that exists."""
    ours = list(metadata.distribution("otel-logging").entry_points)
    groups = {point.group for point in ours}
    assert {"console_scripts", "opentelemetry_pre_instrument", "opentelemetry_post_instrument"} <= groups
    for point in ours:
        assert point.load() is not None, point


def test_a_record_is_found_again(environ, tmp_path):
    """`run --local` gives records that `search` and `call` find, and frame lines are not among them."""
    store = tmp_path / "store"
    app = tmp_path / "app.py"
    app.write_text(APP, encoding="utf-8")
    ran = command(
        "run", "--local", "--store", str(store), "--", sys.executable, str(app), environ=environ, cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    assert "hello from the wheel" in ran.stdout
    assert "AUDIO_DELTA" not in ran.stdout
    found = command("search", "hello", "--json", "--store", str(store), environ=environ, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    record = json.loads(found.stdout.splitlines()[0])
    assert (record["message"], record["call_sid"]) == ("hello from the wheel", CALL)
    shown = command("call", CALL, "--store", str(store), environ=environ, cwd=tmp_path)
    assert shown.returncode == 0
    assert "hello from the wheel" in shown.stdout


def test_checkout_is_out_of_sight():
    """What these tests import is the installed wheel, not a checkout that happens to be near."""
    import otel_logging

    assert not (Path(otel_logging.__file__).parents[1] / "pyproject.toml").exists()
    assert logging.getLogger().name == "root"
