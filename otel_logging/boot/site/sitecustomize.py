# ruff: noqa: INP001, PTH100, PTH118, PTH120 (a folder on PYTHONPATH, not a package; pathlib costs)
"""Boots otel-logging in every Python process started under `otel-logging run`, before the application's first line.

The interpreter imports the first `sitecustomize` it finds, and `run` puts this folder first on PYTHONPATH, so worker
processes, reloaded children and `spawn` get it too. It must never raise, must say nothing where otel-logging is not
installed, and must load the `sitecustomize` that it hides. Decisions about logging belong in `boot/hooks.py`. Other,
older interpreters may read this file: plain syntax only.
"""

import os
import sys

_OFF = ("off", "0", "false", "no")
_HERE = os.path.dirname(os.path.abspath(__file__))


def _enabled() -> bool:
    switch = os.environ.get("OTEL_LOGGING", "").strip().lower()
    return switch not in _OFF and os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"


def _without_us(path: str) -> str:
    return os.pathsep.join(entry for entry in path.split(os.pathsep) if entry != _HERE)


def _boot() -> bool:
    """Initialise OpenTelemetry and then us. True when OpenTelemetry's own sitecustomize has nothing left to do."""
    try:
        from otel_logging.boot import bystanders, hooks
    except ImportError:
        if os.environ.get("OTEL_LOGGING_RUN_PID") == str(os.getpid()):
            sys.stderr.write("otel-logging: not installed for %s; it runs without\n" % sys.executable)  # noqa: UP031
        return False
    if bystanders.is_bystander():
        return True
    hooks.before_otel()
    # Programs that are started while we initialise (`uname`, a detector's helper) must not initialise in their turn.
    path = os.environ.get("PYTHONPATH")
    if path is not None:
        os.environ["PYTHONPATH"] = _without_us(path)
    try:
        try:
            from opentelemetry.instrumentation import auto_instrumentation

            auto_instrumentation.initialize()
            done = True
        except Exception:
            done = False  # the application runs without OTel's instrumentation; its logging is still ours to set up
        hooks.post_instrument()
    finally:
        if path is not None:
            rest = _without_us(os.environ.get("PYTHONPATH", ""))
            os.environ["PYTHONPATH"] = _HERE + os.pathsep + rest if rest else _HERE
    return done


def _chain(skip_otel: bool) -> None:
    """Load the `sitecustomize` that this one hides, as the interpreter would have without us."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    otel = os.path.join("opentelemetry", "instrumentation", "auto_instrumentation")
    path = [
        entry
        for entry in sys.path
        if os.path.abspath(entry or os.curdir) != _HERE and not (skip_otel and entry.rstrip(os.sep).endswith(otel))
    ]
    spec = PathFinder.find_spec("sitecustomize", path)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _main() -> None:
    booted = False
    try:
        if _enabled():
            booted = _boot()
    except Exception as error:
        _complain("could not boot", error)
    try:
        _chain(skip_otel=booted)
    except Exception as error:
        # What the interpreter would have said about the hidden file without us.
        _complain("error in the next sitecustomize", error)


def _complain(what: str, error: Exception) -> None:
    try:
        sys.stderr.write("otel-logging: %s: %s: %s\n" % (what, type(error).__name__, error))  # noqa: UP031
    except Exception:
        pass  # stderr may be closed; there is nobody left to tell


_main()
