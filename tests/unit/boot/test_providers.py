"""The OTel side of the set-up: global providers are only taken where there are none, spans are stamped once."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

PRELUDE = """
import logging, os, sys, tempfile
import otel_logging
from opentelemetry import _logs, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
store = tempfile.mkdtemp()
def configure(**more):
    otel_logging.configure(logs_exporter="local", store=store, log_console="off", **more)
"""


@pytest.fixture
def run():
    """Run code in a process of its own, as global providers can be set only once; gives what it printed."""

    def run(code):
        done = subprocess.run(
            [sys.executable, "-c", PRELUDE + textwrap.dedent(code)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    return run


class TestGlobalProviders:
    def test_taken_where_there_are_none(self, run):
        """Without others, ours become the global ones, so that other bridges and the application's spans work."""
        assert run("""
            configure()
            print(isinstance(_logs.get_logger_provider(), LoggerProvider), isinstance(trace.get_tracer_provider(), TracerProvider))
            _logs.get_logger("other.bridge").emit(_logs.LogRecord(body="from another bridge"))
            otel_logging.force_flush()
            print(otel_logging.stats()["exported"], otel_logging.stats()["created"])
        """) == ["True", "True", "2", "2"]

    def test_others_are_left_in_place(self, run):
        """Providers that the application has set stay the global ones."""
        assert run("""
            mine, my_tracing = LoggerProvider(), TracerProvider()
            _logs.set_logger_provider(mine)
            trace.set_tracer_provider(my_tracing)
            configure()
            print(_logs.get_logger_provider() is mine, trace.get_tracer_provider() is my_tracing)
        """) == ["True", "True"]

    def test_console_only_takes_none(self, run):
        """With nothing to export to, the global providers are not touched."""
        assert run("""
            otel_logging.configure(log_console="off")
            print(isinstance(_logs.get_logger_provider(), LoggerProvider), isinstance(trace.get_tracer_provider(), TracerProvider))
        """) == ["False", "False"]


class TestSpans:
    def test_the_applications_spans_are_stamped_once(self, run):
        """Spans of the application's own provider carry the call, however often the process is set up."""
        assert run("""
            memory, provider = InMemorySpanExporter(), TracerProvider()
            provider.add_span_processor(SimpleSpanProcessor(memory))
            trace.set_tracer_provider(provider)
            for level in ("INFO", "ERROR", "INFO"):
                configure(log_level=level)
            print(sum(type(one).__name__ == "SpanStamper" for one in provider._active_span_processor._span_processors))
            with otel_logging.call("CA0123456789abcdef0123456789abcdef"):
                with provider.get_tracer("app").start_as_current_span("work"):
                    logging.getLogger("app").error("m")
            print({span.name: span.attributes.get("call_sid") for span in memory.get_finished_spans()}["work"])
        """) == ["1", "CA0123456789abcdef0123456789abcdef"]

    def test_call_spans_reach_the_store(self, run):
        """The `call` span of a process is stored beside its records, in the call's trace."""
        assert run("""
            configure()
            with otel_logging.call("CA0123456789abcdef0123456789abcdef"):
                logging.getLogger("app").error("m")
            otel_logging.shutdown()
            import json, pathlib
            (path,) = (pathlib.Path(store) / "traces").glob("*.jsonl")
            (line,) = path.read_text().splitlines()
            span = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
            print(span["name"], span["traceId"])
        """) == ["call", "0123456789abcdef0123456789abcdef"]


class TestSetUpAnew:
    def test_global_providers_of_ours_follow(self, run):
        """After a second `configure()` other bridges and spans go to its destinations, and nothing is dead."""
        assert run("""
            configure()
            otel_logging.shutdown()
            store = tempfile.mkdtemp()
            otel_logging.configure(logs_exporter="local", store=store, log_console="off", service_name="second")
            _logs.get_logger("other.bridge").emit(_logs.LogRecord(body="from another bridge"))
            with trace.get_tracer("app").start_as_current_span("work"), otel_logging.call("CA0123456789abcdef0123456789abcdef"):
                pass
            print(otel_logging.force_flush(), otel_logging.shutdown())
            import pathlib
            print("from another bridge" in next((pathlib.Path(store) / "logs").glob("second-*")).read_text().replace(" ", " "))
            spans = next((pathlib.Path(store) / "traces").glob("second-*")).read_text()
            print('"work"' in spans, '"call"' in spans)
            print(otel_logging.stats()["dropped"])
        """) == ["True", "True", "True", "True", "True", "{}"]

    def test_a_handler_on_the_global_provider_does_not_double(self, run):
        """Our handler, put up by hand on the global provider, exports nothing that the pipeline has taken."""
        assert run("""
            from otel_logging import LoggingHandler
            configure()
            logging.root.addHandler(LoggingHandler())
            logging.warning("m")
            otel_logging.force_flush()
            print(otel_logging.stats()["exported"], otel_logging.stats()["created"])
        """) == ["2", "2"]
