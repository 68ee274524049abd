"""The promises of otel_logging.export.local."""

from __future__ import annotations

import errno
import json
import os

import pytest
from export_kit import sdk_record
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

from otel_logging.export import jsonl_file
from otel_logging.export.batch import BatchingProcessor
from otel_logging.export.entry import entry_of
from otel_logging.export.local import LocalLogExporter, LocalSpanExporter


def batch(*bodies):
    return [entry_of(sdk_record(body)).record for body in bodies]


def lines(folder):
    return [json.loads(line) for path in sorted(folder.iterdir()) for line in path.read_bytes().splitlines()]


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def logs(store):
    exporter = LocalLogExporter(store, "calls")
    yield exporter
    exporter.shutdown()


class TestLogs:
    def test_a_batch_is_a_line(self, logs, store):
        """Each batch is one line: a whole request, in the order it was exported."""
        assert logs.export(batch("one", "two")) is LogRecordExportResult.SUCCESS
        assert logs.export(batch("three")) is LogRecordExportResult.SUCCESS
        bodies = [
            [record["body"]["stringValue"] for record in line["resourceLogs"][0]["scopeLogs"][0]["logRecords"]]
            for line in lines(store / "logs")
        ]
        assert bodies == [["one", "two"], ["three"]]
        assert logs.failure is None

    def test_empty_batch(self, logs, store):
        """An empty batch writes nothing."""
        assert logs.export([]) is LogRecordExportResult.SUCCESS
        assert not store.exists()

    def test_unwritable_then_writable(self, logs, store, capsys):
        """A store that cannot be written costs the batch, is said once with the folder and the cure, and is tried again."""
        store.write_text("a file is in the way")
        for _ in range(3):
            assert logs.export(batch("lost", "too")) is LogRecordExportResult.FAILURE
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert str(store) in said
        assert "2 records were lost" in said
        assert "OTEL_LOGGING_STORE" in said
        assert "Not a directory" in logs.failure
        store.unlink()
        assert logs.export(batch("kept")) is LogRecordExportResult.SUCCESS
        assert logs.failure is None

    @pytest.mark.parametrize("error", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EMFILE])
    def test_reasons(self, logs, store, monkeypatch, capsys, error):
        """The reason why a file cannot be made is told in the system's words."""

        def refuse(path, *args, **more):
            raise OSError(error, os.strerror(error), str(path))

        with monkeypatch.context() as patch:
            patch.setattr(jsonl_file.os, "open", refuse)
            assert logs.export(batch("x")) is LogRecordExportResult.FAILURE
        assert f"the local store {store}/logs cannot be written ({os.strerror(error)})" in capsys.readouterr().err

    @pytest.mark.parametrize("wrong", ["store is a link", "logs is a link", "store is open to all"])
    def test_refused(self, logs, store, tmp_path, capsys, wrong):
        """A store that is not private is not written: one line says which folder, why and what to do."""
        target = tmp_path / "target"
        target.mkdir()
        if wrong == "store is a link":
            store.symlink_to(target)
        else:
            store.mkdir()
            if wrong == "logs is a link":
                (store / "logs").symlink_to(target)
            else:
                store.chmod(0o777)
        for _ in range(3):
            assert logs.export(batch("x")) is LogRecordExportResult.FAILURE
        (said,) = capsys.readouterr().err.splitlines()
        reason = "may be written by others (mode 0777)" if wrong.endswith("all") else "is a symbolic link"
        assert f"{store / 'logs' if wrong.startswith('logs') else store} {reason}" in said
        assert "name" in said
        assert "OTEL_LOGGING_STORE" in said
        assert list(target.iterdir()) == []

    def test_never_raises(self, logs, capsys):
        """Not even for what is no record at all."""
        assert logs.export([object()]) is LogRecordExportResult.FAILURE
        assert "cannot be written" in capsys.readouterr().err

    def test_after_shutdown(self, logs):
        """After shutdown nothing is written any more, and it is said."""
        logs.export(batch("x"))
        logs.shutdown()
        assert logs.export(batch("y")) is LogRecordExportResult.FAILURE
        assert "closed" in logs.failure
        assert logs.force_flush()

    def test_behind_the_queue(self, logs, store, books):
        """Behind the queue a lost batch is counted once and said once; one that is written is exported."""
        processor = BatchingProcessor(logs, books)
        processor.on_emit(sdk_record("\ud800"))
        assert processor.close(30_000)
        assert books.out == 1
        assert len(lines(store / "logs")) == 1

    def test_rotation(self, store):
        """Batches go to another file when one is full."""
        exporter = LocalLogExporter(store, "calls", max_file_bytes=1)
        for number in range(3):
            exporter.export(batch(number))
        exporter.shutdown()
        assert len(list((store / "logs").iterdir())) == 3


class TestSpans:
    def test_spans(self, store):
        """Spans go to the folder `traces`, one request a line."""
        exporter = LocalSpanExporter(store, "calls")
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        with provider.get_tracer("t").start_as_current_span("call"):
            pass
        provider.shutdown()
        (line,) = lines(store / "traces")
        assert line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] == "call"
        assert exporter.failure is None
        assert exporter.force_flush()
        assert exporter.export([object()]) is SpanExportResult.FAILURE
