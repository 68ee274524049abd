"""`otel-logging run`: its command line, the environment it hands on, how it becomes the program."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from otel_logging.boot import run

_RUN = "import sys; from otel_logging.boot import run; sys.exit(run.main(sys.argv[1:]))"


def start(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`run` as a process of its own, in an environment without any of our variables."""
    base = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "LOG_", "PYTHONPATH"))}
    return subprocess.run(
        [sys.executable, "-c", _RUN, *argv], env=base | env, capture_output=True, text=True, check=False, timeout=60
    )


class TestCommandLine:
    @pytest.mark.parametrize(
        ("argv", "expected"),
        [
            (["python", "app.py"], (["python", "app.py"], False, None)),
            (["--", "python", "app.py"], (["python", "app.py"], False, None)),
            (["--local", "--", "uvicorn", "--reload"], (["uvicorn", "--reload"], True, None)),
            (["--local", "uvicorn", "--local", "--"], (["uvicorn", "--local", "--"], True, None)),
            (["--store", "d", "x"], (["x"], False, "d")),
            (["--store=d", "--local", "x"], (["x"], True, "d")),
        ],
    )
    def test_valid(self, argv, expected):
        """Our options end at the first word that is none, or at `--`; the rest is the program's."""
        command = run.parse(argv)
        assert (command.argv, command.local, command.store) == expected

    @pytest.mark.parametrize("argv", [[], ["--"], ["--local"], ["--store"], ["--store", "--", "x"], ["--lokal", "x"]])
    def test_wrong(self, argv, capsys):
        """A wrong command line is one reason, the usage and exit code 2."""
        assert run.main(argv) == 2
        err = capsys.readouterr().err
        assert err.startswith("otel-logging run: ")
        assert run.USAGE in err

    def test_help(self, capsys):
        """--help explains on stdout."""
        assert run.main(["--help"]) == 0
        assert capsys.readouterr().out.startswith(run.USAGE)


class TestEnvironment:
    def test_local_and_store(self, tmp_path, monkeypatch):
        """--local and --store are the variables of those names; a relative folder survives a change of directory."""
        monkeypatch.chdir(tmp_path)
        env = run.environment(run.parse(["--local", "--store", "st", "x"]), {"OTEL_LOGS_EXPORTER": "otlp"})
        assert env["OTEL_LOGS_EXPORTER"] == "local"
        assert env["OTEL_LOGGING_STORE"] == str(tmp_path / "st")

    def test_nothing_asked(self):
        """Without options nothing is said about logs."""
        env = run.environment(run.parse(["x"]), {})
        assert not {"OTEL_LOGS_EXPORTER", "OTEL_LOGGING_STORE"} & set(env)

    def test_pythonpath(self):
        """Our folder comes first on PYTHONPATH, once, and what was there stays."""
        first = run.environment(run.parse(["x"]), {"PYTHONPATH": os.pathsep.join(["/a", run.SITE, "/b"])})
        again = run.environment(run.parse(["x"]), first)
        assert first == again
        assert first["PYTHONPATH"].split(os.pathsep) == [run.SITE, "/a", "/b"]

    def test_signals_that_nobody_asked_for(self):
        """Without an endpoint a distro's default of sending spans and metrics to localhost is off; what is set stays."""
        env = run.environment(run.parse(["x"]), {"OTEL_METRICS_EXPORTER": "console"})
        assert (env["OTEL_TRACES_EXPORTER"], env["OTEL_METRICS_EXPORTER"]) == ("none", "console")

    @pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_CONFIG_FILE"])
    def test_signals_with_an_endpoint(self, name):
        """With an endpoint or a configuration file, spans and metrics are OTel's own business."""
        assert "OTEL_TRACES_EXPORTER" not in run.environment(run.parse(["x"]), {name: "http://collector:4318"})


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX exit codes")
class TestBecoming:
    def test_exit_code_and_arguments(self):
        """The program gets its arguments untouched by any shell, and its exit code is ours."""
        done = start("--local", "--", "sh", "-c", 'printf "%s|" "$@"; exit 7', "sh", "a b", "$HOME", "--local")
        assert (done.returncode, done.stdout, done.stderr) == (7, "a b|$HOME|--local|", "")

    @pytest.mark.parametrize(
        ("given", "expected"), [({}, "http/protobuf"), ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc")]
    )
    def test_protocol_of_all_signals(self, given, expected):
        """A distro's grpc default does not reach a program whose user named no protocol."""
        assert run.environment(run.Command(["true"]), given)["OTEL_EXPORTER_OTLP_PROTOCOL"] == expected

    def test_environment_arrives(self):
        """The program sees the variables."""
        done = start("--local", "sh", "-c", 'echo "$OTEL_LOGS_EXPORTER $PYTHONPATH"')
        assert done.stdout == f"local {run.SITE}\n"

    @pytest.mark.parametrize("switch", [{"OTEL_LOGGING": "off"}, {"OTEL_SDK_DISABLED": "true"}])
    def test_kill_switch(self, switch):
        """Switched off, the program starts in the environment as it was."""
        done = start("--local", "--store", "d", "env", PYTHONPATH="/x", **switch)
        assert done.returncode == 0
        assert "PYTHONPATH=/x\n" in done.stdout
        assert "OTEL_LOGS_EXPORTER" not in done.stdout
        assert run.TARGET_PID not in done.stdout

    def test_not_found(self):
        """An unknown program is one clear line and 127."""
        done = start("--", "no-such-program")
        assert done.returncode == 127
        assert done.stderr == "otel-logging run: 'no-such-program': command not found\n"

    def test_not_executable(self, tmp_path):
        """A file that may not be executed, and one that is no program, are one clear line and 126."""
        plain, text = tmp_path / "plain", tmp_path / "text"
        plain.write_text("x")
        text.write_text("x")
        text.chmod(0o755)
        for path, reason in ((plain, "permission denied"), (text, "not a program (a script needs a #! line)")):
            done = start("--", str(path))
            assert (done.returncode, done.stderr) == (126, f"otel-logging run: {str(path)!r}: {reason}\n")

    def test_neighbour(self, tmp_path):
        """A program that is not on PATH is looked for beside the interpreter, as in an environment not activated."""
        done = start("--", "pytest", "--version", PATH=str(tmp_path))
        assert done.returncode == 0
        assert "pytest" in done.stdout


class TestOnWindows:
    def test_child_and_exit_code(self, monkeypatch):
        """Where no process can become another, the program is a child and its exit code is returned."""
        monkeypatch.setattr(sys, "platform", "win32")
        assert run.main(["--local", sys.executable, "-S", "-c", "raise SystemExit(9)"]) == 9
