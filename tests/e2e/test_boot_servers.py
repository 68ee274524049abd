"""Real servers: each record exactly once in the store and on the console, none lost to SIGTERM, server errors kept."""

from __future__ import annotations

import shutil
import signal
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX servers and signals")

BOOT_LINE = "LOGGING CONFIGURED: level=INFO, json=0"
UVICORN = ["uvicorn", "boot_web:app", "--port", "PORT"]
GUNICORN = ["gunicorn", "boot_web:app", "--bind", "127.0.0.1:PORT", "-k", "uvicorn_worker.UvicornWorker"]


def use(server, requests: int = 20) -> None:
    """Twenty requests that log, and one that fails."""
    for number in range(requests):
        assert server.get(f"/log/{number}") == 200
    assert server.get("/boom") == 500


def check(server, requests: int = 20, workers: int = 1) -> None:
    """Everything that the server and its workers logged is there once, in the store and on the console."""
    bodies, printed = server.bodies(), server.printed
    started = [body for body in bodies if body.startswith("startup ")]
    assert len(set(started)) >= workers, server.describe()
    messages = [f"{kind} {number};" for kind in ("request", "own") for number in range(requests)]
    messages += started
    messages += [body.replace("startup", "shutdown") for body in started]
    for message in messages:
        assert bodies.count(message) == 1, f"{message!r} exported; {server.describe()}"
        assert sum(message in line for line in printed) == 1, f"{message!r} printed; {server.describe()}"


def check_error(server) -> None:
    """The server's own record of the failed request is there once, with its traceback."""
    (record,) = [record for record in server.records() if record["body"].startswith("Exception in ASGI application")]
    assert (record["logger"], record["level"]) == ("uvicorn.error", "ERROR")
    assert record["attributes"]["exception.message"] == "the application failed"
    assert "boot_web.py" in record["attributes"]["exception.stacktrace"]
    assert sum("Exception in ASGI application" in line for line in server.printed) == 1
    assert sum("RuntimeError: the application failed" in line for line in server.printed) == 1


def check_boot_lines(server) -> None:
    """At most one boot line a process, and the first line of all."""
    records = [record for record in server.records() if record["body"] == BOOT_LINE]
    assert len(records) == len({record["file"] for record in records})
    lines = [line for line in server.printed if BOOT_LINE in line]
    assert len(lines) == len(records)
    assert server.out.splitlines()[0] == lines[0]


def check_access_log_is_off(server) -> None:
    assert not [line for line in server.printed if "GET /log/" in line]


@pytest.mark.parametrize("how", ["run", "instrument", "instrument-bare"])
def test_uvicorn(serve, apps, how):
    """Uvicorn alone: SIGTERM loses none of 20 requests, and the exit status stays the signal's."""
    server = serve(UVICORN, how, cwd=apps)
    use(server)
    assert server.stop() == -signal.SIGTERM
    check(server)
    check_error(server)
    check_boot_lines(server)
    check_access_log_is_off(server)


def test_uvicorn_interrupted(serve, apps):
    """SIGINT loses nothing either."""
    server = serve(UVICORN, cwd=apps)
    use(server, 3)
    server.stop(signal.SIGINT)
    check(server, 3)


def test_uvicorn_within_a_program(serve, apps):
    """`import otel_logging.auto` as the first line of a program that runs uvicorn itself."""
    program = "import otel_logging.auto, uvicorn; uvicorn.run('boot_web:app', port=PORT)"
    server = serve([sys.executable, "-c", program], "auto", cwd=apps)
    use(server)
    assert server.stop() == -signal.SIGTERM
    check(server)
    check_error(server)


@pytest.mark.parametrize("how", ["run", "instrument"])
def test_uvicorn_workers(serve, apps, how):
    """`--workers 2`: both workers boot, each in a file of its own, and SIGTERM loses nothing."""
    server = serve([*UVICORN, "--workers", "2"], how, cwd=apps)
    server.until(lambda: server.out.count("startup ") == 2, "second worker")
    use(server)
    server.stop()
    check(server, workers=2)
    check_error(server)
    check_boot_lines(server)
    check_access_log_is_off(server)


def test_uvicorn_reload(serve, apps, tmp_path):
    """`--reload`: the reloaded child boots again; nothing is lost when the first one goes, nor at SIGTERM."""
    source = shutil.copy(apps / "boot_web.py", tmp_path)
    server = serve([*UVICORN, "--reload"], cwd=tmp_path)
    use(server)
    with open(source, "a") as file:
        file.write("# changed\n")
    server.until(lambda: server.out.count("startup ") == 2, "reload")
    server.ready()
    server.get("/log/after")
    server.stop()
    check(server, workers=2)
    assert server.bodies().count("request after;") == 1
    check_error(server)
    check_boot_lines(server)


@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
def test_gunicorn(serve, apps, preload):
    """Gunicorn with uvicorn workers, whose class sets SIGTERM back to its default: nothing is lost."""
    server = serve([*GUNICORN, "--workers", "2", *(["--preload"] if preload else [])], cwd=apps)
    server.until(lambda: server.out.count("startup ") == 2, "second worker")
    use(server)
    assert server.stop() == 0
    check(server, workers=2)
    check_error(server)
    check_boot_lines(server)
    assert "Traceback" not in server.err, server.describe()


def test_hypercorn(serve, apps):
    """hypercorn: as uvicorn."""
    server = serve(["hypercorn", "boot_web:app", "--bind", "127.0.0.1:PORT"], cwd=apps)
    use(server)
    server.stop()
    check(server)


def test_kill_switch(serve, apps):
    """OTEL_LOGGING=off: uvicorn is as if otel-logging were not there."""
    server = serve(UVICORN, cwd=apps, env={"OTEL_LOGGING": "off"})
    use(server, 2)
    assert server.stop() == -signal.SIGTERM
    assert not server.store.exists()
    assert BOOT_LINE not in server.out
    assert sum("GET /log/" in line for line in server.printed) == 2
    assert not [line for line in server.printed if "request 0;" in line]
