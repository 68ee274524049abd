"""A JSON line that is too long is cut where it hurts least, and remains the JSON of its record."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_logging.export import line_size
from otel_logging.export.line_size import CUT, MAX_BYTES
from otel_logging.export.lines import json_line

CALL = "CA" + "ab" * 16


def line(message="short", *, exception=None, **extras):
    record = logging.LogRecord("server.media", logging.ERROR, "media.py", 1, "%s", (message,), None)
    record.exc_text = exception
    made = json_line(record, service="calls", call_sid=CALL, trace_id=1, span_id=2, attributes=extras)
    assert "\n" not in made
    return made, json.loads(made)


def test_what_fits_is_left_alone():
    """Up to the limit, not a byte is changed."""
    made, fields = line("x" * 200_000)
    assert fields["message"] == "x" * 200_000
    assert len(made) < MAX_BYTES


@pytest.mark.parametrize("letter", ["x", "ש", "☎", "📞", '"', "\x01", "\ud800"])
@pytest.mark.parametrize("where", ["message", "exception", "transcript"])
def test_the_longest_value_is_cut(letter, where):
    """Whatever it is made of, the line fits, is used well, says what is missing, and keeps its call and ids."""
    made, fields = line(**{"message": "short", where: letter * 300_000})
    # A traceback has an end of its own before that.
    assert len(made.encode()) <= MAX_BYTES
    assert where == "exception" or len(made.encode()) > MAX_BYTES * 0.9
    assert fields[where].startswith(letter if letter != "\ud800" else "\\ud800")
    assert where == "exception" or fields[where].endswith(" characters cut]")
    assert (fields["call_sid"], fields["trace_id"], fields["span_id"]) == (CALL, f"{1:032x}", f"{2:016x}")
    assert (fields["level"], fields["service"], fields["logger"]) == ("ERROR", "calls", "server.media")


def test_all_have_the_same_room():
    """Two long values share what there is; a short one beside them keeps all of its own."""
    _, fields = line("m" * 400_000, transcript="t" * 400_000, note="n" * 2000)
    assert fields["note"] == "n" * 2000
    assert abs(len(fields["message"]) - len(fields["transcript"])) < 10_000


def test_what_is_missing_is_counted():
    """The marker's figure is that of the characters that are gone."""
    _, fields = line("m" * 1_000_000)
    text, _, marker = fields["message"].partition("… [otel-logging: ")
    assert int(marker.split()[0]) == 1_000_000 - len(text)


def test_nested_values_become_the_beginning_of_their_json():
    """A large list or mapping is cut as its text."""
    _, fields = line(turns=[{"text": "word " * 100} for _ in range(2_000)])
    assert fields["turns"].startswith('[{"text":"word ')
    assert fields["turns"].endswith(" characters cut]")


def test_too_many_extras_go():
    """Where cutting each would not help, the extras go and their number stays."""
    _, fields = line(**{f"{'k' * 100}{number}": "v" for number in range(5_000)})
    assert fields[CUT] == 5_000
    assert fields["call_sid"] == CALL


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(st.text(max_size=8), st.tuples(VALUES, st.integers(0, 3000)), max_size=6))
def test_anything_fits(drawn):
    """Whatever the extras are, the line is JSON, fits, and has its call."""
    extras = {key: [value] * times for key, (value, times) in drawn.items()}
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "y", (), None)
    made = json_line(record, service="calls", call_sid=CALL, attributes=extras)
    assert len(made.encode()) <= MAX_BYTES
    assert json.loads(made)["call_sid"] == CALL


@pytest.mark.parametrize("name", ["status", "severity", "host", "hostname", "@timestamp", CUT, "level", "service"])
def test_no_extra_takes_a_name_that_means_the_record(name):
    """What Datadog would read as the record's own status, host or time is kept under another name."""
    _, fields = line(**{name: "mine"})
    assert fields[f"extra.{name}"] == "mine"
    assert fields.get(name) != "mine"


def test_short_lines_are_not_measured(monkeypatch):
    """What a short line costs is one comparison."""
    monkeypatch.setattr(line_size, "_bytes", lambda text: pytest.fail("measured"))
    line("hello")
