"""The promises of otel_logging.export.header_reader."""

from __future__ import annotations

import logging

from otel_logging import trouble
from otel_logging.export import header_reader


def test_says_nothing_of_the_content(monkeypatch, capsys, caplog):
    """What OTel cannot read of a header variable is in no record and no line; one line of ours says what is valid."""
    from opentelemetry.util.re import parse_env_headers

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization: c4n4ryToken")
    header_reader.hush()
    header_reader.hush()
    for liberal in (True, False):
        assert parse_env_headers("Authorization: c4n4ryToken", liberal=liberal) == {}
    assert caplog.records == []
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "name=value" in said
    assert "c4n4ry" not in said
    assert trouble.counts() == {"otlp_headers": 2}


def test_other_words_pass(caplog):
    """What that logger says of anything else is the application's to see."""
    header_reader.hush()
    logging.getLogger("opentelemetry.util.re").warning("something else")
    assert caplog.messages == ["something else"]
