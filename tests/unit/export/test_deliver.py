"""The promises of otel_logging.export.deliver."""

from __future__ import annotations

import pytest
from export_kit import Exporter, sdk_record
from opentelemetry.sdk._logs.export import LogRecordExportResult

from otel_logging import trouble
from otel_logging.export.deliver import Delivery
from otel_logging.export.entry import entry_of
from otel_logging.export.guard import exporting


def deliver(exporter, books, bodies, seconds=30.0, hurry=lambda: False):
    batch = [entry_of(sdk_record(body)).record for body in bodies]
    delivery = Delivery(exporter, books, seconds, hurry)
    delivery.in_flight += len(batch)
    delivery.send(batch)
    assert delivery.in_flight == 0
    assert books.total == len(batch)
    return delivery


def poison(*bodies):
    def behave(batch):
        if any(record.log_record.body in bodies for record in batch):
            raise UnicodeEncodeError("utf-8", "\udc80", 0, 1, "surrogates not allowed")

    return behave


class TestPoison:
    @pytest.mark.parametrize("bad", [(0,), (511,), (200,), (3, 4, 300), tuple(range(512))])
    def test_costs_only_itself(self, books, bad):
        """Records that cannot be encoded are dropped one by one, and all others arrive, in order."""
        exporter = Exporter(poison(*bad))
        delivery = deliver(exporter, books, range(512))
        assert exporter.bodies == [n for n in range(512) if n not in bad]
        assert books.out == 512 - len(bad)
        assert books.lost == {"poison": len(bad)}
        assert delivery.lost == len(bad)
        assert trouble.counts()["poison"] == len(bad)

    @pytest.mark.parametrize("limits", [{"seconds": -1.0}, {"hurry": lambda: True}])
    def test_no_time_for_halving(self, books, limits):
        """Out of time, or closing, a batch is not halved any more but counted as failed."""
        deliver(Exporter(poison(3)), books, range(8), **limits)
        assert books.lost == {"export_failed": 8}


class TestFailure:
    def test_failure_is_not_halved(self, books, capsys):
        """FAILURE concerns the whole batch: one attempt, counted, one line."""
        attempts = []
        exporter = Exporter(lambda batch: attempts.append(len(batch)) or LogRecordExportResult.FAILURE)
        deliver(exporter, books, range(8))
        assert attempts == [8]
        assert books.lost == {"export_failed": 8}
        assert "8 records were lost" in capsys.readouterr().err

    def test_network_errors_are_not_halved(self, books, capsys):
        """An error of the network is nobody's poison."""
        attempts = []

        def refuse(batch):
            attempts.append(len(batch))
            raise ConnectionRefusedError(111, "Connection refused")

        deliver(Exporter(refuse), books, range(8))
        assert attempts == [8]
        assert books.lost == {"export_failed": 8}
        assert "Connection refused" in capsys.readouterr().err

    def test_our_exporters_speak_for_themselves(self, books, capsys):
        """An exporter that has a `failure` tells it itself; nothing is said twice."""
        exporter = Exporter(lambda batch: LogRecordExportResult.FAILURE)
        exporter.failure = "the disk is full"
        deliver(exporter, books, range(2))
        assert capsys.readouterr().err == ""

    def test_no_exception_is_uncounted(self, books):
        """Even what is no Exception leaves the books balanced, and goes on its way."""

        def leave(batch):
            raise SystemExit(3)

        with pytest.raises(SystemExit):
            deliver(Exporter(leave), books, range(5))
        assert books.lost == {"export_failed": 5}


def test_inside_export(books):
    """The exporter works under the mark of an export."""
    seen = []
    deliver(Exporter(lambda batch: seen.append(exporting.active)), books, range(2))
    assert seen == [True]
