"""Promise 3, every record finds its call: whatever calls, services, traces and files a store mixes, `call` gives exactly the call's records."""

from __future__ import annotations

import json
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from otel_logging.search.one_call import find_call, own_trace
from otel_logging.search.overview import overview
from otel_logging.search.query import Query, search

CALLS = ["CA" + "a1" * 16, "CA" + "a1" * 15 + "a2", "room-1", "room-12", "5e" * 16]
OWN = [own_trace(call) for call in CALLS]
SERVERS = ["0a" * 16, "0b" * 16, "0c" * 16]

RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "call": st.sampled_from([*CALLS, None]),
            "trace": st.sampled_from([*OWN, *SERVERS, None]),
            "service": st.sampled_from(["media", "worker", "שירות"]),
            "file": st.integers(0, 3),
            "time": st.integers(1, 40),
            "line": st.booleans(),  # begins a new line of its file
            "console": st.booleans(),
            "text": st.sampled_from(["tick", *CALLS, *OWN, "a\nb", "שלום 📞", '"call_sid":"room-1"']),
        }
    ),
    max_size=40,
)


def write(root, records, noise):
    """Put the records into files, several to a line where they may be, with broken and unfinished lines among them."""
    (root / "logs").mkdir(exist_ok=True)
    files: dict[int, list[list[dict]]] = {}
    for number, record in enumerate(records):
        lines = files.setdefault(record["file"], [])
        if not lines or record["line"] or record["console"] or lines[-1][0]["console"]:
            lines.append([])
        lines[-1].append({**record, "id": number})
    for file, lines in files.items():
        with (root / "logs" / f"p-{file}.jsonl").open("a", encoding="utf-8", newline="") as stream:
            for members in lines:
                stream.write(console(members[0]) if members[0]["console"] else otlp(members))
                if noise:
                    stream.write("{torn by a full disk\n")
            if noise:
                stream.write(otlp(lines[0])[:-1])


def otlp(members):
    groups = []
    for record in members:
        attributes = [{"key": "id", "value": {"intValue": str(record["id"])}}]
        if record["call"]:
            attributes.append({"key": "call_sid", "value": {"stringValue": record["call"]}})
        raw = {"timeUnixNano": str(record["time"]), "body": {"stringValue": record["text"]}, "attributes": attributes}
        if record["trace"]:
            raw["traceId"] = record["trace"]
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": record["service"]}}]}
        groups.append({"resource": resource, "scopeLogs": [{"logRecords": [raw]}]})
    return json.dumps({"resourceLogs": groups}, separators=(",", ":"), ensure_ascii=False) + "\n"


def console(record):
    line = {
        "timestamp": f"1970-01-01T00:00:00.{record['time']:09d}Z",
        "message": record["text"],
        "service": record["service"],
        "id": record["id"],
    }
    line.update({key: record[name] for key, name in (("call_sid", "call"), ("trace_id", "trace")) if record[name]})
    return json.dumps(line) + "\n"


def expected(records, call):
    """By the plain rule: the call's own records, and those of its traces that name no call."""
    traces = {own_trace(call)} | {record["trace"] for record in records if record["call"] == call}
    return {
        number
        for number, record in enumerate(records)
        if record["call"] == call or (record["call"] is None and record["trace"] in traces and record["trace"])
    }


@settings(max_examples=150, deadline=None)
@given(RECORDS, st.booleans())
def test_exactly_the_calls_records(tmp_path_factory, records, noise):
    """`call` returns every record of the call, once, in time order, and none of another call."""
    root = tmp_path_factory.mktemp("store")
    write(root, records, noise)
    named = Counter(record["call"] for record in records if record["call"])
    for call in named:
        view = find_call(root, call)
        ids = [record.attributes["id"] for record in view.records]
        assert sorted(ids) == sorted(expected(records, call))
        assert {record.call_sid for record in view.records} <= {call, None}
        assert [record.time for record in view.records] == sorted(record.time for record in view.records)
        assert view.services == dict(sorted(Counter(records[number]["service"] for number in ids).items()))


@settings(deadline=None)
@given(RECORDS)
def test_every_way_of_asking_agrees(tmp_path_factory, records):
    """`call`, `calls` and `search --call` count the same records of every call."""
    root = tmp_path_factory.mktemp("store")
    write(root, records, noise=False)
    view = overview(root)
    assert {call.call_sid for call in view.calls} == {record["call"] for record in records if record["call"]}
    for call in view.calls:
        assert (
            call.records == len(find_call(root, call.call_sid).records) == search(root, Query(call=call.call_sid)).total
        )
    assert view.records == len(records) == search(root, Query()).total
