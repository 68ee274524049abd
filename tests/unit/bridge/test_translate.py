"""A stdlib record becomes an OTel record, whatever is in it, and nothing raises."""

from __future__ import annotations

import logging
import math
import sys
import time

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import use_span

from otel_logging import ids
from otel_logging.bridge import translate

DIGITS = 0x0123456789ABCDEF0123456789ABCDEF
SID = f"CA{DIGITS:032x}"


class Broken:
    """An object that answers nothing."""

    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class OddError(Exception):
    """An exception with a text of its own."""

    def __str__(self):
        return "the odd text"


class BrokenError(Exception):
    """An exception whose text fails."""

    def __str__(self):
        raise RuntimeError("no text")


class FakeCall:
    """A call as the bridge sees it."""

    def __init__(self, call_sid=SID, span_id=7, attributes=None):
        self.call_sid = call_sid
        self.trace_id = ids.trace_id_for(call_sid) if call_sid else 0
        self.span_id = span_id
        self.attributes = attributes or {}
        self.waiting = False


def record(msg="hello", args=(), level=logging.INFO, name="app.module", exc_info=None, **extra):
    """A stdlib record as `Logger.makeRecord` makes it."""
    made = logging.LogRecord(name, level, "/src/app/module.py", 42, msg, args, exc_info, "handle")
    made.__dict__.update(extra)
    return made


def raised(error: BaseException):
    """`exc_info` of an exception that was raised."""
    try:
        raise error
    except BaseException:
        return sys.exc_info()


class TestSeverity:
    @pytest.mark.parametrize(
        ("level", "expected"),
        [
            (10, "DEBUG"), (11, "DEBUG2"), (13, "DEBUG4"), (15, "DEBUG4"), (19, "DEBUG4"), (20, "INFO"), (25, "INFO4"), (30, "WARN"),
            (40, "ERROR"), (50, "FATAL"), (53, "FATAL4"), (60, "FATAL4"), (10**30, "FATAL4"), (math.inf, "UNSPECIFIED"),
            (1, "TRACE"), (5, "TRACE"), (6, "TRACE2"), (9, "TRACE4"), (0, "UNSPECIFIED"), (-5, "UNSPECIFIED"), (True, "TRACE"),
            (20.0, "INFO"), ("20", "INFO"), ("INFO", "UNSPECIFIED"), (None, "UNSPECIFIED"), ([], "UNSPECIFIED"),
        ],
    )  # fmt: skip
    def test_number(self, level, expected):
        """Python's tens are OTel's ranges of four, levels below DEBUG are TRACE, and what is no level is UNSPECIFIED."""
        assert translate.severity_number(level) is SeverityNumber[expected]

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("INFO", "INFO"),
            ("WARNING", "WARN"),
            ("CRITICAL", "FATAL"),
            ("Level 25", "Level 25"),
            ("NOTICE", "NOTICE"),
            (None, "None"),
            ("a\ud800", "a\\ud800"),
        ],
    )
    def test_text(self, name, expected):
        """WARNING is WARN, CRITICAL is FATAL, other names stay."""
        assert translate.severity_text(name) == expected


class TestBody:
    @pytest.mark.parametrize(
        ("msg", "args", "expected"),
        [
            ("plain", (), "plain"), ("a %s b %d", ("x", 3), "a x b 3"), ("%(k)s", ({"k": 1},), "1"), ("100%", (), "100%"),
            ({"a": 1}, (), "{'a': 1}"), (None, (), "None"), (ValueError("bad"), (), "bad"), ("שלום 📞", (), "שלום 📞"),
            ("file %s", ("caf\udce9",), "file caf\\udce9"), ("\ud800", (), "\\ud800"), (b"x", (), "b'x'"), ("", (), ""),
        ],
    )  # fmt: skip
    def test_rendered(self, msg, args, expected):
        """The body is the rendered message, always text that can be encoded."""
        assert translate.body_of(record(msg, args)) == expected

    @pytest.mark.parametrize(
        ("msg", "args", "start"),
        [
            ("%d", ("x",), "%d [otel-logging: not rendered, TypeError; args=('x',)]"),
            ("no place", ("x",), "no place [otel-logging: not rendered, TypeError; args=('x',)]"),
            ("%s %s", ("x",), "%s %s [otel-logging: not rendered, TypeError; args=('x',)]"),
            ("%(k)s", ({"j": 1},), "%(k)s [otel-logging: not rendered, KeyError; args={'j': 1}]"),
            ("%s", (Broken(),), "%s [otel-logging: not rendered, RuntimeError; args=([Broken: RuntimeError],)]"),
            ("%s %d", (Broken(), "x"), "%s %d [otel-logging: not rendered, RuntimeError; args=([Broken: RuntimeError], 'x')]"),
            (Broken(), (), "[otel-logging: Broken has no text: RuntimeError] [otel-logging: not rendered, RuntimeError; args=()]"),
            ("%", ("x",), "% [otel-logging: not rendered, ValueError; args=('x',)]"),
        ],
        ids=range(8),
    )  # fmt: skip
    def test_what_cannot_be_rendered_is_kept_raw(self, msg, args, start):
        """Arguments that do not fit cost the record nothing: the raw message and its arguments arrive, marked."""
        assert translate.body_of(record(msg, args)) == start

    def test_huge_arguments_are_cut(self):
        """The arguments in the marker are bounded."""
        assert len(translate.body_of(record("%d", ("x" * 100_000,)))) < 2200

    def test_a_formatter_that_fails(self):
        """A formatter that raises or returns no text costs nothing either."""

        def fails(_record):
            raise ValueError("template")

        assert translate.body_of(record("hi"), fails).startswith("hi [otel-logging: not rendered, ValueError")
        assert translate.body_of(record("hi"), lambda _record: None).startswith("hi [otel-logging: not rendered")


class TestTimestamps:
    def test_when_it_was_made_and_when_seen(self):
        """The record's own time in ns, and now."""
        made = record()
        made.created = 1_700_000_000.25
        before = time.time_ns()
        created, observed = translate.timestamps(made)
        assert abs(created - 1_700_000_000_250_000_000) < 1000  # a float of seconds holds no more
        assert before <= observed <= time.time_ns()

    @pytest.mark.parametrize("created", [-1.0, math.nan, math.inf, -math.inf, 1e30, None, "now", [], 10**400])
    def test_a_time_that_cannot_be_is_now(self, created):
        """A frozen clock before 1970 and other impossible times are replaced by now."""
        made = record()
        made.created = created
        stamp, observed = translate.timestamps(made)
        assert stamp == observed


class TestException:
    @pytest.mark.parametrize(
        ("error", "kind", "message"),
        [
            (ValueError("bad"), "ValueError", "bad"),
            (FileNotFoundError(2, "No such file", "x"), "FileNotFoundError", "[Errno 2] No such file: 'x'"),
            (UnicodeDecodeError("utf-8", b"x", 0, 1, "why"), "UnicodeDecodeError", "'utf-8' codec can't decode byte 0x78 in position 0: why"),
            (OddError("args"), f"{__name__}.OddError", "the odd text"),
            (KeyboardInterrupt("ctrl-c"), "KeyboardInterrupt", "ctrl-c"),
            (BrokenError(), f"{__name__}.BrokenError", "[otel-logging: BrokenError has no text: RuntimeError]"),
            (ValueError("caf\udce9"), "ValueError", "caf\\udce9"),
        ],
        ids=lambda value: type(value).__name__,
    )  # fmt: skip
    def test_raised(self, error, kind, message):
        """Type is qualified, message is what the exception says, stacktrace is whole."""
        found = translate.exception_attributes(record(exc_info=raised(error)))
        assert found["exception.type"] == kind
        assert found["exception.message"] == message
        assert found["exception.stacktrace"].startswith("Traceback (most recent call last):")
        assert "in raised" in found["exception.stacktrace"]
        found["exception.stacktrace"].encode()

    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (OddError("made with"), "made with"),
            (OddError(), "the odd text"),
            (OddError("a", "b"), "the odd text"),
            (FileNotFoundError(2, "none"), "[Errno 2] none"),
        ],
    )
    def test_drop_in(self, error, message):
        """The bare handler is as the official one where that says something: the bare class, the text it was made with."""
        found = translate.plain(record(exc_info=raised(error))).attributes
        assert (found["exception.type"], found["exception.message"]) == (type(error).__name__, message)

    def test_an_empty_message_is_left_out(self):
        """An exception without a message has no `exception.message`."""
        assert set(translate.exception_attributes(record(exc_info=raised(ValueError())))) == {
            "exception.type",
            "exception.stacktrace",
        }

    def test_never_raised(self):
        """`exc_info=error` of an exception that was never raised still has a stacktrace line."""
        found = translate.exception_attributes(record(exc_info=(ValueError, ValueError("bad"), None)))
        assert found == {
            "exception.type": "ValueError",
            "exception.message": "bad",
            "exception.stacktrace": "ValueError: bad\n",
        }

    def test_chained(self):
        """Causes are part of the stacktrace."""
        try:
            try:
                raise KeyError("first")
            except KeyError as error:
                raise ValueError("second") from error
        except ValueError:
            found = translate.exception_attributes(record(exc_info=sys.exc_info()))
        assert "KeyError: 'first'" in found["exception.stacktrace"]
        assert found["exception.message"] == "second"

    @pytest.mark.parametrize(
        "info",
        [None, (), (None, None, None), False, True, 7, "x", (ValueError,), object()],
        ids=lambda value: repr(value).partition(" at 0x")[0],
    )
    def test_what_is_no_exc_info(self, info):
        """A record made by hand may hold anything there."""
        made = record()
        made.exc_info = info
        found = translate.exception_attributes(made)
        assert set(found) <= {"exception.type"}

    def test_an_exception_itself(self):
        """A record made by hand may hold the exception."""
        error = raised(ValueError("bad"))[1]
        made = record()
        made.exc_info = error
        found = translate.exception_attributes(made)
        assert found["exception.type"] == "ValueError"
        assert "in raised" in found["exception.stacktrace"]

    def test_only_a_type(self):
        """A type without its exception gives what it gives."""
        assert translate.exception_attributes(record(exc_info=(ValueError, None, None))) == {
            "exception.type": "ValueError"
        }


class TestPlain:
    def test_everything_of_a_record(self):
        """Body, severity, time and extras; nothing of the record's own fields, no code attributes unless asked for."""
        made = translate.plain(record("n=%d", (3,), user="u", count=2))
        assert made.body == "n=3"
        assert (made.severity_text, made.severity_number) == ("INFO", SeverityNumber.INFO)
        assert dict(made.attributes) == {"user": "u", "count": 2}
        assert made.event_name is None

    def test_code_attributes(self):
        """On request, where the line was logged."""
        made = translate.plain(record(), code_attributes=True)
        assert dict(made.attributes) == {
            "code.file.path": "/src/app/module.py", "code.function.name": "handle", "code.line.number": 42,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("extra", "name", "left"),
        [
            ({"otel.event.name": "a"}, "a", {}), ({"event.name": "b"}, "b", {}), ({"otel.event.name": "a", "event.name": "b", "c": 1}, "a", {"c": 1}),
            ({"otel.event.name": None, "event.name": "b"}, "b", {}), ({"event.name": 7}, "7", {}), ({"event.name": {"x": 1}}, "{'x': 1}", {}),
            ({"otel.event.name": "\ud800"}, "\\ud800", {}),
        ],
    )  # fmt: skip
    def test_event_name(self, extra, name, left):
        """The event's name is taken from either extra, the newer first, always as text."""
        made = translate.plain(record(**extra))
        assert made.event_name == name
        assert dict(made.attributes) == left

    def test_odd_keys(self):
        """Extras without a usable name get one."""
        made = record()
        made.__dict__.update({"": 1, None: 2, 5: 3, "a\ud800": 4})
        assert dict(translate.plain(made).attributes) == {"_": 1, "None": 2, "5": 3, "a\\ud800": 4}

    def test_a_formatters_attributes(self):
        """What a formatter puts on the record while rendering is an attribute too."""

        def render(made):
            made.added = "yes"
            return "formatted"

        made = translate.plain(record(), render=render)
        assert (made.body, dict(made.attributes)) == ("formatted", {"added": "yes"})

    def test_the_active_span(self):
        """A record made inside a span carries its ids."""
        span = TracerProvider().get_tracer("t").start_span("s")
        with use_span(span, end_on_exit=True):
            made = translate.plain(record())
        assert (made.trace_id, made.span_id) == (span.get_span_context().trace_id, span.get_span_context().span_id)

    def test_our_own_mark_is_no_attribute(self):
        """What we put on a stdlib record for ourselves is not exported."""
        assert dict(translate.plain(record(**{translate.MARK: True})).attributes) == {}

    def test_every_field_of_this_python_is_known(self):
        """No field that this Python's logging makes is taken for an extra."""
        assert translate.extras_of(logging.LogRecord("n", 20, "p", 1, "m", (), None)) == {}


class TestNamedExtras:
    def test_own_extra_wins_over_bound(self):
        """A line's own extra wins over what the call was given with bind()."""
        named, event = translate.named_extras(record(a=1), {"a": 2, "b": 3})
        assert (named, event) == ({"a": 1, "b": 3}, None)

    @pytest.mark.parametrize("name", sorted(translate.RESERVED_BY_BACKENDS - {"message", "msg"}))
    def test_names_that_would_overwrite_the_record(self, name):
        """Datadog lets these attributes replace the record's own: they are kept under another name."""
        made = record()
        made.__dict__[name] = "x"
        named, _ = translate.named_extras(made, None)
        assert named == {f"extra.{name}": "x"}

    @pytest.mark.parametrize("name", sorted(translate.RESERVED_BY_BACKENDS))
    def test_the_same_for_bound_attributes(self, name):
        """What bind() was given is renamed in the same way."""
        assert translate.named_extras(record(), {name: "x"})[0] == {f"extra.{name}": "x"}

    def test_the_list_is_the_documented_one(self):
        """Exactly the names that no record may carry as attributes."""
        names = {"level", "severity", "status", "message", "msg", "log", "trace_id", "span_id", "service", "hostname"}
        assert names == translate.RESERVED_BY_BACKENDS

    def test_event_name(self):
        """The event's name is taken out, wherever it stood."""
        assert translate.named_extras(record(**{"event.name": "e"}), None) == ({}, "e")


class TestEnriched:
    def test_what_configure_adds(self):
        """The logger's name, the code's place, the exception, the stack that was asked for."""
        made = record(exc_info=raised(ValueError("bad")))
        made.stack_info = "Stack (most recent call last): …"
        found = translate.enriched(made, "body", {"a": 1}, event_name="e")
        attributes = dict(found.attributes)
        assert attributes.pop("exception.stacktrace")
        assert attributes == {
            "a": 1, "logger.name": "app.module", "code.file.path": "/src/app/module.py", "code.function.name": "handle",
            "code.line.number": 42, "exception.type": "ValueError", "exception.message": "bad",
            "code.stacktrace": "Stack (most recent call last): …",
        }  # fmt: skip
        assert (found.body, found.event_name) == ("body", "e")

    @pytest.mark.parametrize(
        "value", [None, "x\ud800", 10**30, object(), Broken()], ids=lambda value: type(value).__name__
    )
    def test_fields_of_any_type(self, value):
        """A record made by hand may hold anything in its own fields."""
        made = record()
        for field in (
            "name",
            "pathname",
            "funcName",
            "lineno",
            "levelname",
            "levelno",
            "stack_info",
            "exc_text",
            "created",
        ):
            setattr(made, field, value)
        found = translate.enriched(made, "body", {}, event_name=None)
        assert found.severity_number is not None
        for text in dict(found.attributes).values():
            if isinstance(text, str):
                text.encode()


class TestJoinCall:
    def made(self, **extra):
        """An enriched record."""
        found = record(**extra)
        return translate.enriched(found, "b", translate.named_extras(found, None)[0], event_name=None)

    def test_no_call(self):
        """Outside a call a record has no call_sid and no trace."""
        made = self.made()
        translate.join_call(made, None)
        assert "call_sid" not in made.attributes
        assert not made.trace_id

    def test_in_a_call(self):
        """In a call it has the call's id, trace and span."""
        made = self.made()
        translate.join_call(made, FakeCall())
        assert made.attributes["call_sid"] == SID
        assert (made.trace_id, made.span_id) == (DIGITS, 7)

    def test_before_the_call_has_a_name(self):
        """A call without a name gives nothing yet."""
        made = self.made()
        translate.join_call(made, FakeCall(call_sid=None))
        assert "call_sid" not in made.attributes
        assert not made.trace_id

    def test_a_line_that_states_its_call(self):
        """A call_sid that the line itself gives wins over the call in force, and brings its own trace."""
        made = self.made(call_sid="job-7")
        translate.join_call(made, FakeCall())
        assert made.attributes["call_sid"] == "job-7"
        assert (made.trace_id, made.span_id) == (ids.trace_id_for("job-7"), 0)

    @pytest.mark.parametrize("bad", ["a b", "", None, 7, "x" * 500, "9725@s.whatsapp.net"])
    def test_a_stated_id_that_is_none(self, bad):
        """An extra that is no call id does not replace the call's."""
        made = self.made(call_sid=bad)
        translate.join_call(made, FakeCall())
        assert made.attributes["call_sid"] == SID
        assert made.trace_id == DIGITS

    def test_an_active_span_keeps_its_trace(self):
        """Inside a span the record keeps that span's trace, as OTel defines, and still names its call."""
        span = TracerProvider().get_tracer("t").start_span("s")
        with use_span(span, end_on_exit=True):
            made = self.made()
        translate.join_call(made, FakeCall())
        assert made.trace_id == span.get_span_context().trace_id
        assert made.span_id == span.get_span_context().span_id
        assert made.attributes["call_sid"] == SID
