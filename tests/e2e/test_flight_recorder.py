"""Two thousand frame lines in one call: with an error they are exported, without one `recall` brings them next day."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from otlp_sink import OtlpSink

BIN = Path(sys.executable).parent
SID = "CA" + "0f" * 16
FRAMES = 2000
BOOT = "LOGGING CONFIGURED: "


def made_by(process):
    return [tuple(one) for one in json.loads((process.folder / "made").read_text("utf-8"))]


def lines_of(process):
    """What an operator reads, without the boot line."""
    return [line for line in process.out.splitlines() if BOOT not in line]


def holds_what_was_made(found, made):
    """`found`, as (text, time, trace id, span id) in the order of their arrival, is what the application logged."""
    assert [text for text, *_ in found] == [text for text, *_ in made]
    for (_, at, *ids), (text, before, after, active) in zip(found, made, strict=True):
        assert before <= at <= after, text
        assert ids == active, text
    assert len({span_id for *_, span_id in found}) == 2  # the greeting's, and the call's own
    assert {trace_id for _, _, trace_id, _ in found} == {SID[2:]}


@pytest.fixture(scope="module", params=["error", "well"])
def ended(request, launch, apps):
    with OtlpSink() as sink:
        env = {
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
            "OTEL_METRICS_EXPORTER": "none",
        }
        process = launch([sys.executable, apps / "frames.py", request.param], how="none", env=env)
        assert process.wait() == 0, process.describe()
        assert sink.invalid == []
        yield request.param, process, sink


class TestOverOtlp:
    def test_what_is_exported(self, ended):
        """With the error all frames with their own times, traces and order, before the error; without it none."""
        how, process, sink = ended
        frames = [one for one in sink.records if str(one.body).startswith("[AUDIO_DELTA]")]
        if how == "well":
            assert frames == []
            return
        found = [(one.body, one.time, one.trace_id, one.span_id) for one in frames]
        holds_what_was_made(found, made_by(process))
        assert {one.level for one in frames} == {"INFO", "DEBUG"}
        for one in frames:
            assert one.attributes["call_sid"] == SID
            assert one.attributes["business_id"] == 456
            assert one.attributes["otel_logging.recovered"] is True
            assert one.attributes["otel_logging.trigger"] == "error"
        (error,) = (one for one in sink.records if one.level == "ERROR")
        assert error.time > frames[-1].time
        assert "otel_logging.recovered" not in error.attributes

    def test_the_console(self, ended):
        """It shows one line: the error. Without one it shows nothing."""
        how, process, _ = ended
        lines = lines_of(process)
        assert len(lines) == (how == "error")
        assert all("the model does not answer" in line for line in lines)
        assert process.err == ""

    def test_the_summary(self, ended):
        """The call's summary says what became of its records."""
        how, _, sink = ended
        (summary,) = (one.attributes for one in sink.records if one.event == "otel_logging.call.summary")
        assert summary["otel_logging.made"] == FRAMES // 2 + (how == "error")
        assert summary["otel_logging.kept"] == (how == "error")
        assert summary["otel_logging.recovered"] == (FRAMES if how == "error" else 0)


class TestInTheStore:
    def command(self, process, *words):
        return subprocess.run(
            [str(BIN / "otel-logging"), *words], capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "OTEL_LOGGING_STORE": str(process.store)},
        )  # fmt: skip

    def call(self, process):
        """The call's records as `otel-logging call` finds them."""
        done = self.command(process, "call", SID, "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_recall_next_day(self, launch, apps):
        """A call that ended well leaves no frame in the logs; 23 hours later `recall` brings all of them."""
        process = launch([sys.executable, apps / "frames.py", "well"], how="none", env={"OTEL_LOGS_EXPORTER": "local"})
        assert process.wait() == 0, process.describe()
        assert [body for body in process.bodies() if str(body).startswith("[AUDIO_DELTA]")] == []
        assert lines_of(process) == []
        (page,) = (process.store / "attic").glob(f"{SID}~*")
        yesterday = time.time() - 23 * 3600
        os.utime(page, (yesterday, yesterday))
        done = self.command(process, "recall", SID)
        assert (done.returncode, f"{FRAMES:,} records of {SID} recalled" in done.stdout) == (0, True), done
        frames = [one for one in self.call(process) if one["message"].startswith("[AUDIO_DELTA]")]
        found = [(one["message"], nanoseconds(one["timestamp"]), one["trace_id"], one["span_id"]) for one in frames]
        holds_what_was_made(found, made_by(process))
        assert all(one["otel_logging.recovered"] and one["otel_logging.trigger"] == "recall" for one in frames)

    def test_an_error_leaves_nothing_to_recall(self, launch, apps):
        """What was given back at once is in the logs once, and not in the attic."""
        process = launch([sys.executable, apps / "frames.py", "error"], how="none", env={"OTEL_LOGS_EXPORTER": "local"})
        assert process.wait() == 0, process.describe()
        assert self.command(process, "recall", SID).returncode == 1
        frames = [one for one in self.call(process) if one["message"].startswith("[AUDIO_DELTA]")]
        assert len(frames) == FRAMES


def nanoseconds(timestamp):
    seconds, _, rest = timestamp.removesuffix("Z").partition(".")
    at = dt.datetime.fromisoformat(seconds).replace(tzinfo=dt.timezone.utc)
    return int(at.timestamp()) * 10**9 + int(rest.ljust(9, "0"))
