"""Whatever is done to a store's files and its index in between, the same question gets the same answer.

A machine writes lines of all kinds, rotates, renames, seals, indexes, removes and damages the index, and after each
step asks both ways: as the store is, and a copy of what was written, plainly, with no index and nothing sealed. What
every reader prints must be the same byte for byte.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from otel_logging.search import frames, index, indexing, keeping, plans, reading, retention, ripgrep, sealing
from otel_logging.search.local import Searched, Window, naming, needles, scan, scan_spans
from otel_logging.search.one_call import Ambiguous, NotFound, find_call, own_trace
from otel_logging.search.overview import overview

CALLS = ["CA" + "a1" * 16, "CA" + "A1" * 15 + "a2", "room-1", "Room-12", "5e" * 16, "\ud800lone", "aa"]
TRACES = [own_trace(CALLS[0]), own_trace("room-1"), "0a" * 16, "0A" * 16, "a1a1" + "0b" * 14]
PASTED = [*CALLS, *TRACES, "CA" + "a1" * 6, "a1", "ROOM-1", "5e5e", "0a0a0a", f"00-{TRACES[2]}-{'1' * 16}-01", "none"]
TEXTS = ["tick", "שלום 📞", *CALLS, '"call_sid":"room-1"', '{"timestamp":"x","message":"y","call_sid":"room-1"}']
NOW = 10**18
ODD_LINES = [
    b'{"torn', b"", b"  \r", b"\xff\xfe", b"[1]", b"null", b'{"resourceLogs":7}', b'{"resourceLogs":[{"scopeLogs":{}}]}',
    b'{"resourceLogs":[{"scopeLogs":[3,{"logRecords":[null,{},{"body":"x"}]}]}]} ',
    b'\xef\xbb\xbf{"timestamp":1,"message":"with a mark","call_sid":"room-1"}', b'{"call_sid":"room-1" torn}',
    b'{"timestamp":1,"message":"\xff","call_sid":"aa"}\r', b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}",
]  # fmt: skip

CALL_VALUES = st.sampled_from([None, *CALLS]).map(
    lambda call: call if call is None else {"stringValue": call}
) | st.sampled_from([{"intValue": "7"}, {"stringValue": ""}, None])


@st.composite
def records(draw):
    """One OTLP record of a usual or unusual shape."""
    snake = draw(st.integers(0, 9)) == 0
    value = draw(CALL_VALUES)
    attributes = [{"key": "k", "value": {"intValue": "1"}}]
    if value is not None:
        attributes.append({"key": "call_sid", "value": value})
    if draw(st.integers(0, 5)) == 0:
        attributes.append({"key": "otel_logging.recovered", "value": {"boolValue": True}})
    record = {
        "time_unix_nano" if snake else "timeUnixNano": draw(st.sampled_from(["5", "70", 900, "0", str(2**63), None])),
        "severityNumber": draw(st.sampled_from([5, 9, 13, 17, 21, 0, "SEVERITY_NUMBER_ERROR"])),
        "severityText": draw(st.sampled_from(["", "error"])),
        "body": draw(st.sampled_from([{"stringValue": text} for text in TEXTS] + [{"intValue": "3"}, None])),
        "attributes": attributes,
    }
    if trace := draw(st.sampled_from([None, *TRACES, "short"])):
        record["trace_id" if snake else "traceId"] = trace
        record["spanId"] = draw(st.sampled_from(["1" * 16, "2" * 16, "3" * 16]))
    if draw(st.integers(0, 9)) == 0:
        record["eventName"] = "otel_logging.call.summary"
        attributes.append({"key": "otel_logging.made", "value": {"intValue": "4"}})
    return record


@st.composite
def log_lines(draw):
    """One line of a log file, with its end unless it is torn."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.sampled_from(ODD_LINES)) + b"\n"
    if kind == 1:
        line = {"timestamp": "1970-01-01T00:00:00.000000050Z", "message": draw(st.sampled_from(TEXTS))}
        line |= {"call_sid": draw(st.sampled_from(CALLS)), "trace_id": draw(st.sampled_from(TRACES))}
        return json.dumps(line).encode() + b"\n"
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": draw(st.sampled_from(["m", "ש"]))}}]}
    found = draw(st.lists(records(), min_size=1, max_size=4))
    payload = {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": found}]}]}
    separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    text = json.dumps(payload, separators=separators, ensure_ascii=draw(st.booleans()))
    end = b"" if kind == 2 and draw(st.booleans()) else b"\n"
    return text.encode("utf-8", "surrogatepass") + end


@st.composite
def span_lines(draw):
    """One line of a trace file."""
    spans = [
        {
            "traceId": draw(st.sampled_from(TRACES)),
            "spanId": draw(st.sampled_from(["1" * 16, "2" * 16, "3" * 16])),
            "parentSpanId": draw(st.sampled_from(["", "1" * 16, "2" * 16])),
            "name": draw(st.sampled_from(["call", "turn"])),
            "startTimeUnixNano": "3",
            "endTimeUnixNano": draw(st.sampled_from(["9", "900"])),
            "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in draw(SPAN_ATTRIBUTES)],
            "links": [{"traceId": trace} for trace in draw(st.lists(st.sampled_from(TRACES), max_size=2))],
        }
        for _ in range(draw(st.integers(1, 3)))
    ]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode() + b"\n"


SPAN_ATTRIBUTES = st.sampled_from(
    [[], [("call_sid", "room-1")], [("call_sid", CALLS[0]), ("otel_logging.end_reason", "stop")]]
)


def told(searched):
    """What is said about a search; how many records were looked at is the only thing that an index may change."""
    shown = {**searched.as_json(), "store": "", "missed": searched.missed}
    return {name: value for name, value in shown.items() if name not in {"records", "spans"}}


WINDOWS = [Window(), Window(since=60), Window(until=60), Window(worst=3), Window(since=6, until=950, worst=2)]
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def call_answer(root, pasted):
    """What `call` finds."""
    try:
        view = find_call(root, pasted, now=NOW)
    except NotFound as error:
        return ["not found", told(error.searched)]
    except Ambiguous as error:
        listed = [(one.call_sid, sorted(one.traces), sorted(one.services), one.seen) for one in error.candidates]
        return [listed, told(error.searched)]
    return [{**view.as_json(), "searched": told(view.searched)}, [record.as_dict() for record in view.records]]


def whole_answer(root):
    """What `calls` and `stats` say, and all spans."""
    whole = overview(root)
    calls = [call.as_json(NOW) for call in whole.calls]
    return [calls, {**whole.as_json(), "store": ""}, [vars(span) for span in scan_spans(root)]]


def records_answer(root, window, text):
    """What a search for a text, or for a call, gives within a window."""
    searched = Searched()
    wanted = naming(text) if text == "room-1" else needles(text)
    kept = [
        record.as_dict()
        for record in scan(root, wanted=wanted, searched=searched, window=window)
        if (window.since is None or record.time >= window.since)
        and (window.until is None or record.time < window.until)
        and LEVELS.index(record.level) >= window.worst
        and (record.call_sid == text if text == "room-1" else text in record.body)
    ]
    return [kept, told(searched)]


class Store(RuleBasedStateMachine):
    """A store that things are done to, and a plain copy of all that was written."""

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.root, self.plain = self.folder / "store", self.folder / "plain"
        self.patch = pytest.MonkeyPatch()
        small = {"PART": 700, "FRAME_BYTES": 500, "WORTH_AN_INDEX": 0, "BLOCK": 400, "_SECTION": 2000, "_SMALLEST": 1}
        for module in (index, indexing, frames, plans, reading, sealing):
            for name in small.keys() & vars(module).keys():
                self.patch.setattr(module, name, small[name])
        self.patch.setattr(ripgrep, "WORTH_IT", 0)
        for root in (self.root, self.plain):
            for kind in ("logs", "traces"):
                (root / kind).mkdir(parents=True, mode=0o700)
        self.numbers = itertools.count()
        self.files = {"logs": "a-1-20240121T193026000000Z", "traces": "a-1-20240121T193026000000Z"}
        self.collector = "collector"

    def teardown(self):
        if hasattr(self, "patch"):
            try:
                self.ask_everything()
            finally:
                self.patch.undo()
                shutil.rmtree(self.folder)

    def append(self, kind, name, data):
        for root in (self.root, self.plain):
            path = root / kind / f"{name}.jsonl"
            if root is self.root and any(path.with_name(path.name + end).exists() for end in frames.SUFFIXES):
                return  # a writer never goes on with a file that is sealed
            with path.open("ab") as file:
                file.write(data)

    @rule(lines=st.lists(log_lines(), min_size=1, max_size=6), own=st.booleans())
    def write_logs(self, lines, own):
        self.append("logs", self.files["logs"] if own else self.collector, b"".join(lines))

    @rule(lines=st.lists(span_lines(), min_size=1, max_size=3))
    def write_spans(self, lines):
        self.append("traces", self.files["traces"], b"".join(lines))

    @rule(kind=st.sampled_from(["logs", "traces"]))
    def another_file(self, kind):
        self.files[kind] = f"b{next(self.numbers)}-1-20240121T193026000000Z"

    @rule()
    def rotate(self):
        """As the Collector does: the file is renamed, and a new one begun under the old name."""
        number = next(self.numbers)
        for root in (self.root, self.plain):
            path = root / "logs" / "collector.jsonl"
            if path.exists():
                path.rename(path.with_name(f"collector-2024-01-21T19-30-{number % 60:02d}.{number:03d}.jsonl"))

    @rule(suffix=st.sampled_from(frames.SUFFIXES))
    def seal(self, suffix):
        self.files = {kind: f"c{next(self.numbers)}-1-20240121T193026000000Z" for kind in self.files}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(frames, "best_suffix", lambda: suffix)
            keeping.keep(self.root, retention.Limits(2**60, 2**60))

    @rule()
    def crash_after_sealing(self):
        """The sealed form is there, and the file as written, too."""
        for path in sorted((self.root / "logs").glob("[abc]*Z.jsonl"))[:1]:
            path.with_name(path.name + frames.GZIP).write_bytes(b"".join(frames.pack([path.read_bytes()], frames.GZIP)))

    @rule(quiet=st.booleans(), most=st.sampled_from([1, 1500, 2**40]))
    def index(self, quiet, most):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(index, "QUIET_SECONDS", -1.0 if quiet else 10.0)
            for kind in ("logs", "traces"):
                indexing.catch_up(self.root, reading.Reading(self.root).files(kind), most)

    @rule()
    def remove_index(self):
        for name in os.listdir(self.root):
            if name.startswith(index.NAME):
                (self.root / name).unlink()

    @rule(how=st.sampled_from(["cut", "zeros", "page", "text", "empty"]), at=st.integers(0, 40))
    def damage_index(self, how, at):
        path = self.root / index.NAME
        if not path.exists():
            return
        data = bytearray(path.read_bytes())
        page = at * 4096 % max(len(data), 1)
        if how == "cut":
            del data[page + 100 :]
        elif how == "zeros":
            data[page : page + 4096] = bytes(len(data[page : page + 4096]))
        elif how == "page":
            data[page : page + 4096] = (b"\x9b\xa7" * 2048)[: len(data[page : page + 4096])]
        elif how == "text":
            data[:] = b"not a database, but long enough to look like one" * 30
        else:
            data.clear()
        path.write_bytes(data)

    @rule(pasted=st.sampled_from(PASTED))
    def ask_for_a_call(self, pasted):
        self.same(lambda root: call_answer(root, pasted))

    @rule()
    def ask_for_all(self):
        self.same(whole_answer)

    @rule(window=st.sampled_from(WINDOWS), wanted=st.sampled_from(["", "tick", "room-1"]))
    def ask_for_records(self, window, wanted):
        self.same(lambda root: records_answer(root, window, wanted))

    def same(self, answer):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "WORTH_AN_INDEX", 2**60)
            expected = json.dumps(answer(self.plain), default=str)
        assert not (self.plain / index.NAME).exists()
        assert json.dumps(answer(self.root), default=str) == expected

    def ask_everything(self):
        for pasted in PASTED:
            self.ask_for_a_call(pasted=pasted)
        self.ask_for_all()
        for window in WINDOWS:
            for wanted in ("", "tick", "room-1"):
                self.ask_for_records(window=window, wanted=wanted)


def run(examples, steps):
    # Without shrinking: it takes many minutes, and the steps of a failure say enough.
    limits = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, phases=[Phase.reuse, Phase.generate]
    )
    run_state_machine_as_test(Store, settings=limits)


def test_same_answer():
    """The answer with and without the index, sealed or not, is the same, byte for byte."""
    run(20, 20)


@pytest.mark.slow
def test_same_answer_after_long_histories():
    """So it is after long histories, and in many of them."""
    run(400, 50)
