"""Records and facts that are cut out of a line are those that JSON gives, and no line passes for JSON that is none."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_logging.search import glance, indexing, otlp, own_lines
from otel_logging.search.digest import Digest
from otel_logging.search.files import LOGS
from otel_logging.search.index import Index
from otel_logging.search.line_facts import LineFacts
from otel_logging.search.reading import Reading, parse
from otel_logging.search.slices import Slicer

SID = "CA" + "a1" * 16
TEXTS = st.sampled_from(
    ["tick", "", SID, "שלום 📞", 'a "quoted" text', "back\\slash", "a\nb", "[STT] x", "}}{", "],", "},{", "{", "\x7f", "call_sid",
     '"key":"call_sid"', '{"timestamp":"1970-01-01T00:00:05Z","message":"y","call_sid":"room-1"}']
)  # fmt: skip
NAMES = st.sampled_from(
    ["call_sid", "logger.name", "otel_logging.recovered", "exception.type", "event.name", "k", "a\\b", "ש"]
)
VALUES = st.one_of(
    TEXTS.map(lambda text: {"stringValue": text}), st.booleans().map(lambda value: {"boolValue": value}),
    st.sampled_from([{"intValue": "7"}, {"intValue": 7}, {"doubleValue": 1.5}, {"doubleValue": -2e-05}, {}, None,
                     {"arrayValue": {"values": [{"stringValue": "x"}]}}, {"stringValue": "true"}]),
)  # fmt: skip
PAIRS = st.tuples(NAMES, VALUES, st.booleans()).map(
    lambda one: {"value": one[1], "key": one[0]} if one[2] else {"key": one[0], "value": one[1]}
)
CALLS = st.sampled_from([SID, SID, SID, "room-1"]).map(lambda call: {"key": "call_sid", "value": {"stringValue": call}})
TIMES = st.sampled_from(
    ["1705865426000000000"] * 6 + ["1705865427000000000", "5", "0", "0000000000000000000", 9, "x", None]
)


@st.composite
def records(draw):
    """One OTLP record, mostly as our own writers make it."""
    record = {"timeUnixNano": draw(TIMES)}
    usual = draw(st.integers(0, 3)) > 0
    if draw(st.booleans()):
        record["observedTimeUnixNano"] = "1705865426000150000" if usual else draw(TIMES)
    record["severityNumber"] = 9 if usual else draw(st.sampled_from([0, 1, 17, 24, 25, "9", None]))
    record["severityText"] = "INFO" if usual else draw(TEXTS)
    record["body"] = {"stringValue": draw(TEXTS)} if usual else draw(st.sampled_from([{"intValue": "3"}, {}, None]))
    record["attributes"] = [draw(CALLS), *draw(st.lists(PAIRS, max_size=3))] if usual else draw(st.lists(PAIRS))
    if draw(st.booleans()):
        record["flags"] = draw(st.sampled_from([1, 257, 0]))
    if draw(st.integers(0, 3)):
        record["traceId"] = draw(st.sampled_from(["a1" * 16, "0b" * 16, "0" * 32, "A1" * 16, "short"]))
        record["spanId"] = draw(st.sampled_from(["1" * 16, "0" * 16, "F" * 16, ""]))
    if draw(st.integers(0, 9)) == 0:
        record["eventName"] = draw(st.sampled_from(["turn", glance.SUMMARY_EVENT]))
    return record


@st.composite
def lines(draw):
    """One line of a log file."""
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": draw(st.sampled_from(["m", "ש"]))}}]}
    scoped = [{"scope": {"name": "s"}, "logRecords": draw(st.lists(records(), min_size=1, max_size=5))}]
    if draw(st.integers(0, 9)) == 0:
        scoped.append({"scope": {"name": "t"}, "logRecords": draw(st.lists(records(), max_size=2))})
    payload = {"resourceLogs": [{"resource": resource, "scopeLogs": scoped}]}
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=draw(st.integers(0, 4)) == 0).encode()


def plainly(line):
    """The records of a line by way of JSON."""
    return [record.as_dict() for record in otlp.records(json.loads(line), "f")]


@settings(max_examples=120, deadline=None)
@given(lines=st.lists(lines(), min_size=1, max_size=3), wanted=st.sampled_from([SID.lower(), "a1" * 16, "tick", "ש"]))
def test_slices(lines, wanted):
    """The records that contain what is wanted are those that JSON gives, in order; none of them is missing."""
    part = b"\n".join([*lines, b""])
    found = []
    for one in Slicer().wanted(part, (wanted.encode(),), "f"):
        found += [record.as_dict() for record in one] if isinstance(one, list) else plainly(one[1])
    every = [record for line in lines for record in plainly(line)]
    left = iter(every)
    assert all(record in left for record in found)
    for record in every:
        if record["call_sid"] == SID and wanted == SID.lower():
            assert record in found


@settings(max_examples=120, deadline=None)
@given(lines=st.lists(lines(), min_size=1, max_size=3))
def test_facts(lines):
    """What is counted of lines without JSON is what is counted with it."""
    columns = LineFacts().of(b"\n".join([*lines, b""]))
    if columns is None:
        return
    quickly, slowly = Digest(), Digest()
    quickly.count_columns(columns)
    for line in lines:
        slowly.add_records(json.loads(line))
    assert quickly.calls == slowly.calls
    assert (quickly.loose, quickly.nowhere, quickly.services) == (slowly.loose, slowly.nowhere, slowly.services)
    assert quickly.total == slowly.total
    assert not slowly.told.summaries


@settings(max_examples=150, deadline=None)
@given(
    line=lines(),
    place=st.integers(0, 10**6),
    other=st.sampled_from([b"", b"\x00", b"\n", b",", b'"', b"\\", b"{", b"}", b"0", b"\xff", b"]"]),
)
def test_no_broken_line_passes(line, place, other):
    """A line with a damage that JSON notices has no facts."""
    place %= len(line)
    broken = line[:place] + other + line[place + 1 :]
    if b"\n" not in broken and (parse(broken) is None or not _strict(broken)):
        assert LineFacts().of(broken + b"\n") is None


def _strict(line):
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


USUAL = (
    '{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"m"}}]},"scopeLogs":[{"scope":'
    '{"name":"s"},"logRecords":[{"timeUnixNano":"1705865426000000000","observedTimeUnixNano":"1705865426000150000",'
    '"severityNumber":9,"severityText":"INFO","body":{"stringValue":"שלום"},"attributes":[{"key":"call_sid","value":'
    '{"stringValue":"room-1"}},{"key":"logger.name","value":{"stringValue":"l"}},{"key":"n","value":{"intValue":"7"}}],'
    f'"flags":1,"traceId":"{"a1" * 16}","spanId":"{"b2" * 8}"}}]}}]}}]}}'
).encode()


def test_usual_lines_need_no_json(monkeypatch):
    """What our own writers write is read without JSON, once what stands around the records is known."""
    slicer, facts = Slicer(), LineFacts()
    list(slicer.wanted(USUAL, (b"room-1",), "f"))
    facts.of(USUAL + b"\n")
    monkeypatch.setattr(json, "loads", lambda *_: pytest.fail("parsed"))
    ((record,),) = slicer.wanted(USUAL, (b"room-1",), "f")
    assert (record.call_sid, record.logger, record.body, record.severity) == ("room-1", "l", "שלום", 9)
    assert [group.key for group in facts.of(USUAL + b"\n").groups] == ["room-1"]
    monkeypatch.undo()
    assert record.attributes == {"n": 7}


NEAR_MISSES = (b"", b"\x00", b"\n", b",", b"\n,", b",{", b'"', b"\\", b"}", b"]", b"\xff", b"R", b"]}]}]}\n", b'"}')


def test_no_broken_line_passes_among_whole_ones():
    """Three usual lines with a damage at any place have facts only if all of them are JSON still."""
    part = (USUAL + b"\n") * 3
    facts = LineFacts()
    assert facts.of(part).lines == 3
    first = part.index(b"\n") // 2
    for place in range(first, first + len(USUAL) + 2):
        for other in NEAR_MISSES:
            for gone in (0, 1):
                damaged = part[:place] + other + part[place + gone :]
                found = facts.of(damaged)
                if found is not None:
                    assert damaged.endswith(b"\n")
                    lines = damaged.splitlines()
                    assert all(parse(line) is not None and _strict(line) for line in lines)
                    assert (found.lines, len(found.groups)) == (
                        len(lines),
                        sum(len(glance.facts(parse(line))) for line in lines),
                    )


def test_times_behind_what_sqlite_holds(tmp_path):
    """A time that is no 63-bit number does not keep its part out of the index."""
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o700)
    (logs / "m-1-20240121T193000000000Z.jsonl").write_bytes((USUAL + b"\n").replace(b"1705865426000000000", b"9" * 19))
    os.utime(logs / "m-1-20240121T193000000000Z.jsonl", (1, 1))
    indexing.catch_up(tmp_path, Reading(tmp_path).files(LOGS), 2**62)
    index = Index(tmp_path)
    try:
        assert [known.lines for known in index.files().values()] == [1]
    finally:
        index.close()


HEAD, LAST = USUAL.partition(b'{"timeUnixNano"')[0], b"]}]}]}"


@pytest.mark.parametrize(
    "between", [b"", b",", b"\n", b"\n,", HEAD, LAST, LAST + b"\n", LAST + b"\n,", LAST + HEAD, b"\n" + HEAD]
)
def test_records_without_what_stands_around_them(between):
    """Records behind one another have facts only if a line ends between them and another begins, or a comma stands there."""
    record = USUAL[len(HEAD) : -len(LAST)]
    facts = LineFacts()
    assert facts.of(HEAD + record + LAST + b"\n" + HEAD + record + LAST + b"\n").lines == 2
    found = facts.of(HEAD + record + between + record + LAST + b"\n")
    assert (found is not None) == (between == b",")
    for damaged in (
        record + LAST + b"\n",
        b"," + record + LAST + b"\n",
        HEAD + record,
        HEAD + record + b",",
        HEAD + LAST + b"\n",
    ):
        assert facts.of(damaged) is None


def test_a_time_of_nothing_but_zeros():
    """A record without a time of its own has the time when it was seen, however many zeros its own is written with."""
    record = {
        "timeUnixNano": "0" * 19, "observedTimeUnixNano": "1705865426000150000", "severityNumber": 9, "severityText": "INFO",
        "body": {"stringValue": "tick"}, "attributes": [{"key": "call_sid", "value": {"stringValue": SID}}],
    }  # fmt: skip
    piece = json.dumps(record, separators=(",", ":")).encode()
    (made,) = own_lines.records_of([piece], otlp.Owner({}, "m", "s"), "f")
    assert made.as_dict() == otlp.record_of(record, otlp.Owner({}, "m", "s"), "f").as_dict()


def test_unusual_lines_keep_their_place():
    """A line that was looked at for what stands around its records does not come back behind a later one."""

    def line(service, *scopes):
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
        scoped = [{"scope": {"name": "s"}, "logRecords": records} for records in scopes]
        payload = {"resourceLogs": [{"resource": resource, "scopeLogs": scoped}]}
        return json.dumps(payload, separators=(",", ":")).encode()

    plain, number = {"timeUnixNano": "1"}, {"timeUnixNano": 3, "severityText": "wanted"}
    lines = [line("wanted", [plain]), line("m", [plain], [number]), line("m", [plain, number])]
    part = b"\n".join([*lines, b""])
    places = [one[0] for one in Slicer().wanted(part, (b"wanted",), "f") if isinstance(one, tuple)]
    assert places == sorted(places)
