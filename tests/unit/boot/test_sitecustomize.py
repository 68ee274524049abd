"""What must hold of the file that every interpreter under `run` reads. What it does is tested with real processes."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

from otel_logging.boot import run

SOURCE = Path(run.SITE) / "sitecustomize.py"


def start(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    """An interpreter without otel-logging that finds our file."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHON"))}
    env = {**clean, "PYTHONPATH": run.SITE, **env}
    return subprocess.run([sys.executable, *argv], env=env, capture_output=True, text=True, check=False, timeout=60)


def test_plain_syntax():
    """Interpreters older than those we support can read the file."""
    ast.parse(SOURCE.read_text("ascii"), feature_version=(3, 6))


def test_nothing_is_imported_when_switched_off():
    """Switched off, no part of us or of OTel is imported."""
    script = "import sys; print([name for name in sys.modules if name.startswith(('otel_logging', 'opentelemetry'))])"
    done = start("-c", script, OTEL_LOGGING="off")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_bystanders_stay_light():
    """A bystander process imports nothing of OTel."""
    code = "from multiprocessing.resource_tracker import main; import sys; print('opentelemetry' in sys.modules)"
    done = start("-c", code)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_isolated_interpreters_are_isolated():
    """An interpreter that ignores the environment ignores us."""
    done = start("-I", "-c", "import sys; print('otel_logging' in sys.modules)")
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_pythonpath_survives():
    """Children find the file too: PYTHONPATH is what it was, ours first."""
    done = start("-c", "import os; print(os.environ['PYTHONPATH'])", PYTHONPATH=os.pathsep.join(["/x", run.SITE]))
    assert done.stdout.splitlines()[-1] == os.pathsep.join([run.SITE, "/x"])


def test_closed_stderr():
    """A process without stderr boots as well."""
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "print(1)" 2>&-', sys.executable],
        env={**os.environ, "PYTHONPATH": run.SITE, "OTEL_LOGGING_STORE": "/nowhere"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "1"
