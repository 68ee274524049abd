"""`otel-logging run [--local] [--store DIR] -- CMD ARGS…`: start a program so that each of its processes boots us.

It sets environment variables and replaces itself with the program; nothing of it is left running, no shell is involved
and the program's exit status is its own. What happens inside the started processes is `site/sitecustomize.py`, which
the interpreter finds because its folder is first on PYTHONPATH. Nothing of the OTel SDK belongs in here: this process
is gone in a few milliseconds.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_logging import settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

USAGE: Final = "usage: otel-logging run [--local] [--store DIR] [--] CMD [ARGS...]"
_HELP: Final = f"""{USAGE}

Start CMD with otel-logging in each of its Python processes: logging is configured before the
program's first line, in every worker and reloaded child, and nothing in the program changes.

  --local      keep the records in the local store (same as OTEL_LOGS_EXPORTER=local)
  --store DIR  folder of the local store (same as OTEL_LOGGING_STORE=DIR)

OTEL_LOGGING=off starts CMD and does nothing else.
Exit status: CMD's own; 2 wrong usage, 126 CMD cannot be executed, 127 CMD not found."""

SITE: Final = str(Path(__file__).resolve().parent / "site")
# The process that `run` becomes. Only there is it worth a line when its interpreter does not have otel-logging.
TARGET_PID: Final = "OTEL_LOGGING_RUN_PID"
# A distro that finds these unset points them at localhost; who named no endpoint did not ask for that.
_SIGNALS_BESIDE_LOGS: Final = ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER")
_ENDPOINTS: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)


class UsageError(Exception):
    """The command line cannot be understood; its text says why."""


@dataclass
class Command:
    """A parsed command line: the program with its arguments, and what was asked of us."""

    argv: list[str] = field(default_factory=list)
    local: bool = False
    store: str | None = None
    help: bool = False


def parse(argv: Sequence[str]) -> Command:
    """Split our options from the program's; the first word that is no option, or what follows `--`, is the program.

    Raises:
        UsageError: for an option that is not ours, a missing folder or a missing program.
    """
    command = Command()
    rest = list(argv)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--":
            break
        name, equals, value = option.partition("=")
        if option == "--local":
            command.local = True
        elif name == "--store":
            if not equals and rest:
                value = rest.pop(0)
            if not value or value == "--":
                raise UsageError("--store needs a folder")
            command.store = value
        elif option in {"-h", "--help"}:
            command.help = True
            return command
        else:
            raise UsageError(f"unknown option {option}; options of the program go after it")
    if not rest:
        raise UsageError("no program given")
    command.argv = rest
    return command


def environment(command: Command, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment the program gets. Calling it on its own result changes nothing more."""
    env = dict(environ)
    if command.local:
        env["OTEL_LOGS_EXPORTER"] = "local"
    if command.store is not None:
        env["OTEL_LOGGING_STORE"] = str(Path(command.store).expanduser().absolute())
    if not any(env.get(name, "").strip() for name in (*_ENDPOINTS, "OTEL_CONFIG_FILE")):
        for name in _SIGNALS_BESIDE_LOGS:
            env.setdefault(name, "none")
    if not env.get("OTEL_EXPORTER_OTLP_PROTOCOL", "").strip():
        # A distro would say grpc, and send spans that way to the endpoint that takes our records by HTTP.
        env["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
    others = [entry for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != SITE]
    env["PYTHONPATH"] = os.pathsep.join([SITE, *others])
    env[TARGET_PID] = str(os.getpid())
    return env


def main(argv: list[str]) -> int:
    """Become the program in `argv`. Returns only when that was impossible, with the exit code: 2, 126 or 127.

    On Windows, where a process cannot become another, the program runs as a child and its exit code is returned.
    """
    try:
        command = parse(argv)
    except UsageError as error:
        sys.stderr.write(f"otel-logging run: {error}\n{USAGE}\n")
        return 2
    if command.help:
        sys.stdout.write(_HELP + "\n")
        return 0
    try:
        env = environment(command, os.environ) if settings.read().enabled else dict(os.environ)
        return _become(command.argv, env)
    except FileNotFoundError:
        return _refuse(command, "command not found", 127)
    except OSError as error:
        if error.errno == errno.ENOEXEC:
            return _refuse(command, "not a program (a script needs a #! line)", 126)
        return _refuse(command, (error.strerror or str(error)).lower(), 126)
    except ValueError as error:  # a NUL in an argument
        return _refuse(command, str(error), 126)


def _refuse(command: Command, reason: str, code: int) -> int:
    sys.stderr.write(f"otel-logging run: {command.argv[0]!r}: {reason}\n")
    return code


def _become(argv: list[str], env: dict[str, str]) -> int:  # noqa: RET503 (execvpe does not return)
    program = argv[0]
    if os.path.dirname(program) == "" and shutil.which(program) is None:  # noqa: PTH120 (a Path would drop a leading ./)
        # `.venv/bin/otel-logging run -- uvicorn …` without an activated environment: its neighbour is meant.
        program = shutil.which(program, path=str(Path(sys.executable).parent)) or program
    if sys.platform == "win32":
        return subprocess.call([shutil.which(program) or program, *argv[1:]], env=env)  # noqa: S603 (that is the task)
    os.execvpe(program, argv, env)  # noqa: S606 (no shell is wanted)
