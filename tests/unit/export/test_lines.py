"""The promises of otel_logging.export.lines."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import datetime, timedelta

import pytest
from export_kit import std_record
from hypothesis import example, given
from hypothesis import strategies as st

from otel_logging.export.lines import human_line, json_line, message_of, traceback_of

CREATED = 1705865426.123  # 2024-01-21T19:30:26.123Z


@pytest.fixture
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Jerusalem")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def failing():
    try:
        raise ValueError("first\nsecond \x1b[0m")
    except ValueError:
        return sys.exc_info()


class TestHuman:
    def test_the_guides_example(self, utc):
        """A line looks as the guide shows it: local time, level in 8 columns, the file's stem."""
        record = std_record("Call started: call_sid=%s", "CA123", created=CREATED)
        assert human_line(record) == "[2024-01-21 21:30:26] INFO     [media_ws_ai] Call started: call_sid=CA123"

    @pytest.mark.parametrize(("level", "column"), [(10, "DEBUG   "), (30, "WARNING "), (50, "CRITICAL")])
    def test_level_column(self, level, column):
        """Level names fill 8 columns."""
        assert f"] {column} [media_ws_ai] hello" in human_line(std_record(level=level))

    def test_nobody_forges_a_line(self):
        """A newline in a message, a level name or an argument ends no line."""
        forged = "x\n[2024-01-21 19:30:26] INFO     [auth] admin logged in"
        for record in (
            std_record(forged),
            std_record("%s", forged),
            std_record(levelname=forged),
            std_record(module=forged),
        ):
            assert len(human_line(record).splitlines()) == 1

    def test_traceback_is_indented_and_neutralised(self):
        """A traceback follows on its own indented lines, and cannot forge a record or drive the terminal."""
        lines = human_line(std_record("it failed", exc_info=failing())).split("\n")
        assert lines[0].endswith("it failed")
        assert lines[1] == "    Traceback (most recent call last):"
        assert lines[-2] == "    ValueError: first"
        assert lines[-1] == "    second \\x1b[0m"
        assert all(line.startswith("    ") for line in lines[1:])

    def test_stack_info(self):
        """stack_info is shown after the traceback."""
        assert human_line(std_record("x", stack_info="Stack (most recent call last):\n  here")).endswith(
            "\n    Stack (most recent call last):\n      here"
        )

    @pytest.mark.parametrize("created", [float("nan"), 1e300, "soon", None])
    def test_impossible_times(self, created):
        """A time that no calendar has costs the time and not the line."""
        assert human_line(std_record(created=created)).endswith("INFO     [media_ws_ai] hello")

    @given(st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=80))
    def test_any_message_is_one_line(self, text):
        """Any text at all is one line of UTF-8."""
        line = human_line(std_record(text))
        assert len(line.splitlines()) == 1
        line.encode()


class TestMessage:
    @pytest.mark.parametrize(
        ("message", "args"), [("%d calls", ("x",)), ("%s", ("a", "b")), ("%(a)s", ("x",)), ("100%", (1,))]
    )
    def test_arguments_that_do_not_fit(self, message, args):
        """A wrong format yields the template, the arguments and a marker."""
        shown = message_of(std_record(message, *args))
        assert message in shown
        assert "could not be formatted" in shown
        assert repr(args[0]) in shown

    def test_object_whose_str_fails(self):
        """An object whose str() fails does not take the line along."""

        class Bad:
            def __str__(self):
                raise RuntimeError("no")

        assert "could not be formatted: RuntimeError" in message_of(std_record(Bad()))

    def test_exception_as_message(self):
        """A message of any type is shown as its text."""
        assert message_of(std_record(ValueError("boom"))) == "boom"

    @pytest.mark.parametrize("exc_info", [None, (None, None, None), True, "nonsense", (1, 2, 3)])
    def test_odd_exc_info(self, exc_info):
        """exc_info of any shape yields text."""
        assert isinstance(traceback_of(std_record(exc_info=exc_info)), str)

    def test_exception_alone_and_text_alone(self):
        """An exception given alone, and the text a QueueHandler leaves, are both shown."""
        assert traceback_of(std_record(exc_info=ValueError("boom"))) == "ValueError: boom"
        assert traceback_of(std_record(exc_text="Traceback: kept")) == "Traceback: kept"


def as_json(*args, **kwargs):
    line = json_line(*args, **{"service": "calls", **kwargs})
    assert len(line.splitlines()) == 1
    return json.loads(line)


class TestJson:
    def test_keys_in_order(self):
        """The keys stand in the documented order, extras before the exception."""
        fields = as_json(
            std_record("שלום", created=CREATED, exc_info=failing()),
            call_sid="CA1",
            trace_id=0xABC,
            span_id=0xD,
            attributes={"business_id": 456},
        )
        assert list(fields) == [
            "timestamp", "level", "module", "message", "logger", "call_sid", "trace_id", "span_id", "service",
            "business_id", "exception",
        ]  # fmt: skip
        assert fields["timestamp"] == "2024-01-21T19:30:26.123Z"
        assert fields["trace_id"] == f"{0xABC:032x}"
        assert fields["span_id"] == f"{0xD:016x}"
        assert fields["logger"] == "server.media_ws_ai"
        assert fields["exception"].startswith("Traceback (most recent call last):\n")
        assert fields["exception"].endswith("ValueError: first\nsecond \x1b[0m")

    def test_readable(self):
        """Hebrew and emoji are not escaped, and separators are compact."""
        line = json_line(std_record("🔥 שלום"), service="calls", attributes={"a": [1, 2]})
        assert '"message":"🔥 שלום"' in line
        assert '"a":[1,2]' in line

    def test_absent_ids_are_left_out(self):
        """Outside a call and a span the three ids are left out; hex text is taken as it is."""
        assert not {"call_sid", "trace_id", "span_id"} & set(as_json(std_record(), trace_id=0, span_id=None))
        assert as_json(std_record(), trace_id="ab" * 16)["trace_id"] == "ab" * 16

    @pytest.mark.parametrize(
        "key", ["timestamp", "level", "module", "message", "logger", "trace_id", "service", "exception"]
    )
    def test_extras_overwrite_nothing(self, key):
        """An extra with the name of a fixed key is kept under another name."""
        fields = as_json(std_record(), attributes={key: "forged", f"extra.{key}": "other"})
        assert fields.get(key) != "forged"
        assert sorted(value for name, value in fields.items() if name.startswith("extra.")) == ["forged", "other"]

    def test_call_sid_from_extras(self):
        """A call id given as an extra stands in its place, once; the call in force wins."""
        assert as_json(std_record(), attributes={"call_sid": "CA2"})["call_sid"] == "CA2"
        fields = as_json(std_record(), call_sid="CA1", attributes={"call_sid": "CA1"})
        assert [name for name in fields if "call_sid" in name] == ["call_sid"]
        fields = as_json(std_record(), call_sid="CA1", attributes={"call_sid": "CA2"})
        assert (fields["call_sid"], fields["extra.call_sid"]) == ("CA1", "CA2")

    def test_values_json_does_not_know(self):
        """Objects are repr'd, mappings are objects, NaN is text, cycles are cut, odd keys become text."""
        cycle = {}
        cycle["self"] = cycle
        fields = as_json(
            std_record(),
            attributes={
                "set": {1},
                "bytes": b"x",
                "nan": float("nan"),
                "cycle": cycle,
                7: "int key",
                "path": ("a", None),
            },
        )
        assert fields["set"] == "{1}"
        assert fields["bytes"] == "b'x'"
        assert fields["nan"] == "NaN"
        assert fields["cycle"] == {"self": "<cycle>"}
        assert fields["7"] == "int key"
        assert fields["path"] == ["a", None]

    @given(st.integers(min_value=0, max_value=4_102_444_800_000))
    @example(2162742315654)  # as a float, times 1000: just below
    def test_milliseconds(self, millis):
        """Milliseconds are those that the time was made from, never one below."""
        given = datetime(1970, 1, 1) + timedelta(milliseconds=millis)
        assert as_json(std_record(created=millis / 1000))["timestamp"] == given.isoformat(timespec="milliseconds") + "Z"

    @given(
        st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=40),
        st.dictionaries(
            st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=8)
            | st.sampled_from(["level", "call_sid"]),
            st.floats()
            | st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=8)
            | st.lists(st.floats()),
            max_size=4,
        ),
    )
    def test_any_record_is_one_line(self, text, attributes):
        """Any message with any extras is one line of strict JSON in UTF-8."""
        line = json_line(std_record(text), service="calls", attributes=attributes)
        assert len(line.splitlines()) == 1

        def no_constant(name):
            raise AssertionError(name)

        fields = json.loads(line.encode(), parse_constant=no_constant)
        assert fields["level"] == "INFO"
        assert len(fields) >= 6 + len(attributes) - (1 if "call_sid" in attributes else 0)

    def test_the_last_second_before_1970(self):
        """The one second whose number means "none yet" elsewhere has its time like any other."""
        assert as_json(std_record(created=-1.0))["timestamp"].startswith("1969-12-31T23:59:59.")

    def test_a_dict_that_changes_meanwhile(self):
        """A mapping that fails while it is read is shown some other way."""

        class Changing(dict):
            def items(self):
                raise RuntimeError("dictionary changed size during iteration")

        assert as_json(std_record(), attributes={"d": Changing(a=1)})["d"] in ({"a": 1}, "{'a': 1}")

    def test_log_record_subclasses_and_foreign_levels(self):
        """A made-up level and an empty record are printed like any other."""
        record = logging.makeLogRecord({})
        assert as_json(record)["message"] == ""
        assert as_json(std_record(levelname="NOTICE"))["level"] == "NOTICE"
