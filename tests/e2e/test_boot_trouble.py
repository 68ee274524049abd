"""Wrong settings, dead endpoints, unwritable folders, other people's boot code: the application goes on, one line says."""

from __future__ import annotations

import gzip
import http.server
import json
import os
import subprocess
import sys
import textwrap
import threading

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

BOOT_LINE = "LOGGING CONFIGURED: level=INFO, json=0"
RECORDS = ["first record;", "second record;"]
NOTHING = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}


@pytest.fixture(scope="module")
def plain(launch, apps):
    """Run the plain application to its end."""

    def run(how="run", env=None, **options):
        process = launch([sys.executable, apps / "boot_plain.py"], how, env, **options)
        assert process.wait() == 0, process.describe()
        return process

    return run


@pytest.fixture(scope="module")
def other_python(tmp_path_factory):
    """An interpreter without any packages."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python"


@pytest.fixture
def sink():
    """An OTLP/HTTP endpoint that decodes the logs it receives."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.endswith("/logs"):
                if self.headers.get("Content-Encoding") == "gzip":
                    data = gzip.decompress(data)
                server.logs.append(ExportLogsServiceRequest.FromString(data))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.logs = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def received(sink) -> list[str]:
    """Bodies that arrived, in order."""
    scopes = [scope for request in sink.logs for resource in request.resource_logs for scope in resource.scope_logs]
    return [record.body.string_value for scope in scopes for record in scope.log_records]


def check_printed_once(process) -> None:
    for message in [*RECORDS, "printed line;"]:
        assert sum(message in line for line in process.printed) == 1, process.describe()


def check(process) -> None:
    """Booted once, and everything is there once."""
    check_printed_once(process)
    assert sum(BOOT_LINE in line for line in process.printed) == 1, process.describe()
    assert process.bodies() == [BOOT_LINE, *RECORDS], process.describe()


def own_lines(process) -> list[str]:
    """What otel-logging said on stderr."""
    return [line for line in process.err.splitlines() if line.startswith("otel-logging:")]


class TestKillSwitch:
    @pytest.mark.parametrize("how", ["run", "instrument", "instrument-bare", "auto"])
    @pytest.mark.parametrize("switch", [{"OTEL_LOGGING": "off"}, {"OTEL_SDK_DISABLED": "true"}], ids=["off", "sdk"])
    def test_inert(self, plain, how, switch):
        """Switched off, the application prints what it would print alone, and no folder appears."""
        process = plain(how, switch)
        assert process.out == "printed line;\n"
        theirs = "Configuration of configurator not loaded"  # OTel's word on a configurator that is not chosen
        said = [line for line in process.err.splitlines() if not line.startswith(theirs)]
        assert said == [f"plain says {message}" for message in RECORDS]
        assert not process.store.exists()


class TestDestinations:
    def test_nothing_asked(self, plain):
        """Without endpoint and without --local there are console lines, and no folder appears."""
        process = plain("run-as-told")
        check_printed_once(process)
        assert process.err == ""
        assert not process.store.exists()

    @pytest.mark.parametrize("how", ["run-as-told", "instrument", "auto"])
    def test_otlp(self, plain, sink, how):
        """With an endpoint, each record arrives there once, although a distro has a provider for the same endpoint."""
        process = plain(how, {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url, "OTEL_LOGS_EXPORTER": None, **NOTHING})
        check_printed_once(process)
        assert received(sink) == [BOOT_LINE, *RECORDS]
        assert process.err == ""

    @pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
    def test_unreachable_endpoint(self, plain, protocol):
        """An endpoint that nobody listens at is one line that names it; the application runs to its end."""
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
            "BOOT_STATS": "5",
            **NOTHING,
        }
        process = plain("run-as-told", env)
        check_printed_once(process)
        (line,) = process.err.splitlines()
        assert line.startswith("otel-logging:")
        assert "127.0.0.1:9" in line
        stats = process.out.splitlines()[-1]
        assert "'exported': 0, 'held': 3, 'dropped': {}" in stats, "they wait on disk"
        assert "'incidents': {}" not in stats

    def test_an_end_before_the_endpoint_is_given_up(self, plain):
        """A program that ends while its endpoint is still being tried says where its records are kept."""
        process = plain("run-as-told", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", **NOTHING})
        check_printed_once(process)
        (line,) = process.err.splitlines()
        assert "records are kept in" in line
        assert list((process.store / "spool").rglob("*.spool"))

    def test_unwritable_store(self, plain, tmp_path):
        """A store that cannot be written is one line and a count; the application runs to its end."""
        (tmp_path / "file").touch()
        process = plain("run", {"OTEL_LOGGING_STORE": str(tmp_path / "file" / "store"), "BOOT_STATS": "5"})
        check_printed_once(process)
        (line,) = process.err.splitlines()
        assert line.startswith("otel-logging:")
        assert str(tmp_path / "file") in line
        stats = process.out.splitlines()[-1]
        assert "'exported': 0" in stats
        assert "'held': 0" in stats

    def test_no_home(self, plain):
        """Without HOME there is no store and nothing to say, unless one is asked for."""
        nobody = {"HOME": None, "OTEL_LOGGING_STORE": None}
        process = plain("run-as-told", nobody)
        check_printed_once(process)
        assert process.err == ""

    def test_no_home_but_local(self, plain, tmp_path):
        """Without HOME, `--local` uses a temporary folder and says which."""
        process = plain("run", {"HOME": None, "OTEL_LOGGING_STORE": None, "TMPDIR": str(tmp_path)})
        check_printed_once(process)
        assert sum(str(tmp_path) in line for line in process.out.splitlines()) == 1
        process.store = next(tmp_path.iterdir())
        assert set(RECORDS) <= set(process.bodies())

    def test_read_only_container(self, apps):
        """`env -i` on a read-only file system: the lines are printed, and one line says that nothing is stored."""
        if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
            pytest.skip("needs the right to mount")
        script = (
            'mount -o remount,ro,bind / && cd / && exec env -i PATH="$PATH" otel-logging run --local -- python "$1"'
        )
        path = os.pathsep.join([os.path.dirname(sys.executable), "/usr/bin", "/bin"])
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", str(apps / "boot_plain.py")],
            env={"PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert [message for message in RECORDS if message in done.stdout] == RECORDS
        assert len([line for line in done.stderr.splitlines() if "cannot be written" in line]) == 1
        assert "Traceback" not in done.stderr


class TestSettings:
    def test_wrong_values(self, plain):
        """Each wrong value is one warning that names variable, value and fallback, and the application runs."""
        process = plain("run", {"LOG_LEVEL": "LOUD", "LOG_CONSOLE": "maybe"})
        assert sum(BOOT_LINE in line for line in process.printed) == 1
        for variable, value, used in (("LOG_LEVEL", "LOUD", "INFO"), ("LOG_CONSOLE", "maybe", "on")):
            (line,) = [line for line in process.printed if variable in line]
            assert " WARNING " in line
            assert value in line
            assert used in line
        check_printed_once(process)

    def test_json(self, plain):
        """LOG_JSON=1: every line of ours is one JSON object, the boot line first."""
        process = plain("run", {"LOG_JSON": "1", "LOG_CAPTURE_PRINT": "1", "OTEL_SERVICE_NAME": "shop"})
        lines = [json.loads(line) for line in process.out.splitlines()]
        assert [line["message"] for line in lines] == [BOOT_LINE.replace("json=0", "json=1"), *RECORDS, "printed line;"]
        assert {line["service"] for line in lines} == {"shop"}

    def test_debug(self, plain):
        """LOG_LEVEL is read in any case and said in the boot line."""
        assert "LOGGING CONFIGURED: level=DEBUG, json=0" in plain("run", {"LOG_LEVEL": "debug"}).out


class TestConfigurationFile:
    @pytest.mark.parametrize("how", ["run", "instrument"])
    @pytest.mark.parametrize("exporter", ["local", "otel_logging: {to: local}"], ids=["local", "otel_logging"])
    def test_our_exporters(self, plain, tmp_path, how, exporter):
        """OTEL_CONFIG_FILE can name our exporters; the records go through its provider, once."""
        exporter = exporter if ":" in exporter else f"{exporter}: {{}}"
        (tmp_path / "otel.yaml").write_text(
            textwrap.dedent(f"""
                file_format: "1.0"
                resource:
                  attributes:
                    - name: from.file
                      value: "yes"
                logger_provider:
                  processors:
                    - batch:
                        exporter:
                          {exporter}
            """)
        )
        process = plain(how, {"OTEL_CONFIG_FILE": str(tmp_path / "otel.yaml"), "OTEL_LOGS_EXPORTER": None})
        check(process)
        assert {record["resource"].get("from.file") for record in process.records()} == {"yes"}

    def test_by_variable(self, plain, sink):
        """OTEL_LOGS_EXPORTER=otel_logging sends through the distro's provider and our filtering to OTLP, once."""
        env = {"OTEL_LOGS_EXPORTER": "otel_logging", "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url}
        check_printed_once(plain("instrument", env))
        assert received(sink) == [BOOT_LINE, *RECORDS]

    def test_unreadable(self, plain, tmp_path):
        """A configuration file that is not there leaves the console and says so."""
        process = plain("run", {"OTEL_CONFIG_FILE": str(tmp_path / "none.yaml")})
        check_printed_once(process)
        assert own_lines(process)


class TestOtherPeoplesBootCode:
    def test_opentelemetry_instrument_within_run(self, launch, apps):
        """`otel-logging run -- opentelemetry-instrument …` boots once."""
        process = launch(["opentelemetry-instrument", sys.executable, apps / "boot_plain.py"])
        assert process.wait() == 0
        check(process)
        assert process.err == ""

    def test_run_within_opentelemetry_instrument(self, launch, apps):
        """`opentelemetry-instrument otel-logging run -- …` boots once."""
        argv = ["otel-logging", "run", "--local", "--", sys.executable, apps / "boot_plain.py"]
        process = launch(argv, "instrument")
        assert process.wait() == 0
        check(process)
        assert process.err == ""

    def test_run_within_run(self, launch, apps):
        """`otel-logging run -- otel-logging run -- …` boots once."""
        process = launch(["otel-logging", "run", sys.executable, apps / "boot_plain.py"])
        assert process.wait() == 0
        check(process)

    def test_run_and_auto(self, plain):
        """An application that asks for us itself, under `run`, boots once."""
        check(plain("run", {"BOOT_AUTO": "1"}))

    def test_a_hidden_sitecustomize(self, plain, tmp_path):
        """The application's own sitecustomize, which ours hides, is loaded as ever."""
        (tmp_path / "sitecustomize.py").write_text("import sys; print(__name__, sys.modules[__name__].__file__)\n")
        process = plain("run", {"PYTHONPATH": str(tmp_path)})
        assert f"sitecustomize {tmp_path / 'sitecustomize.py'}" in process.out
        check(process)

    def test_a_failing_sitecustomize(self, plain, tmp_path):
        """One that raises is one line, as the interpreter has it."""
        (tmp_path / "sitecustomize.py").write_text("raise ValueError('theirs')\n")
        process = plain("run", {"PYTHONPATH": str(tmp_path)})
        assert own_lines(process) == ["otel-logging: error in the next sitecustomize: ValueError: theirs"]
        check(process)

    def test_switched_off_it_is_loaded_too(self, plain, tmp_path):
        """Switched off inside a process, the hidden sitecustomize is still loaded."""
        (tmp_path / "sitecustomize.py").write_text("print('theirs')\n")
        assert "theirs\n" in plain("run", {"PYTHONPATH": str(tmp_path), "OTEL_LOGGING": "off"}).out

    @pytest.mark.parametrize("how", ["run", "instrument"])
    def test_a_vendors_distro(self, plain, tmp_path, how):
        """Beside a vendor's distro, which sets its own defaults and starts programs while booting, we boot once."""
        distribution(
            tmp_path,
            "vendor",
            """
            import os, subprocess, sys
            from opentelemetry.instrumentation.distro import BaseDistro

            class Distro(BaseDistro):
                def _configure(self, **kwargs):
                    os.environ.setdefault("OTEL_LOGS_EXPORTER", "otlp")
                    os.environ.setdefault("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
                    subprocess.run([sys.executable, "-c", "print('helper')"])
            """,
            "[opentelemetry_distro]\nvendor = vendor:Distro\n",
        )
        env = {"PYTHONPATH": str(tmp_path), "OTEL_PYTHON_DISTRO": "vendor", "OTEL_PYTHON_CONFIGURATOR": "none-such"}
        process = plain(how, env)
        check(process)
        assert process.out.count("helper\n") == 1
        assert own_lines(process) == []

    def test_a_vendors_defaults_are_not_the_users(self, plain, tmp_path):
        """A distro that fills in OTEL_LOGS_EXPORTER=otlp has not asked for OTLP in the user's name."""
        distribution(
            tmp_path,
            "vendor",
            """
            import os
            from opentelemetry.instrumentation.distro import BaseDistro

            class Distro(BaseDistro):
                def _configure(self, **kwargs):
                    os.environ.setdefault("OTEL_LOGS_EXPORTER", "otlp")
            """,
            "[opentelemetry_distro]\nvendor = vendor:Distro\n",
        )
        env = {"PYTHONPATH": str(tmp_path), "OTEL_PYTHON_DISTRO": "vendor", "OTEL_PYTHON_CONFIGURATOR": "none-such"}
        process = plain("run-as-told", env)
        check_printed_once(process)
        assert own_lines(process) == []

    def test_a_failing_distro(self, plain, tmp_path):
        """When OTel's own boot fails, logging is set up all the same."""
        distribution(tmp_path, "broken", "raise RuntimeError('broken')", "[opentelemetry_distro]\nbroken = broken:X\n")
        process = plain("run", {"PYTHONPATH": str(tmp_path), "OTEL_PYTHON_DISTRO": "broken"})
        check(process)

    def test_another_environment(self, launch, apps, other_python):
        """A program whose interpreter has no otel-logging runs without, and one line says so."""
        process = launch([other_python, apps / "boot_plain.py"])
        assert process.wait() == 0
        assert own_lines(process) == [f"otel-logging: not installed for {other_python}; it runs without"]
        check_printed_once(process)

    def test_a_helper_of_another_environment(self, launch, other_python):
        """A helper program whose interpreter has no otel-logging runs in silence."""
        program = f"import subprocess; subprocess.run([{str(other_python)!r}, '-c', 'print(1)'], check=True)"
        process = launch([sys.executable, "-c", program])
        assert process.wait() == 0
        assert process.err == ""

    def test_python_helpers_are_left_alone(self, launch):
        """Command lines of pip, and Python's own helper processes, print nothing of ours."""
        process = launch([sys.executable, "-m", "pip", "--version"])
        assert process.wait() == 0
        assert process.out.startswith("pip ")
        assert not process.store.exists()


def distribution(folder, name: str, code: str, entry_points: str) -> None:
    """An installed distribution with entry points, as far as the interpreter can tell."""
    (folder / f"{name}.py").write_text(textwrap.dedent(code))
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(entry_points)
