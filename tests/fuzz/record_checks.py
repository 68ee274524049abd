"""What came out of the bridge, looked at: valid OTLP as protobuf and as JSON, and console lines that cannot be taken for others."""

from __future__ import annotations

import json
import re

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs

from otel_logging.export import otlp_json

MAX_RECORD = 1_000_000  # bytes of one record as JSON
# What could end a line, drive a terminal or reorder what is read.
FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
HUMAN = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] ")


def check_otlp(records) -> None:
    """What came out is valid OTLP, as protobuf and as JSON: nothing is left out, nothing is too large."""
    message = encode_logs(records)
    message = type(message).FromString(message.SerializeToString())
    decoded = [record for group in message.resource_logs for scope in group.scope_logs for record in scope.log_records]
    assert len(decoded) == len(records)
    expected = sorted(len(one.log_record.attributes or ()) for one in records)
    assert sorted(len(record.attributes) for record in decoded) == expected, "attributes were left out"
    for record in decoded:
        keys = [pair.key for pair in record.attributes]
        assert all(keys), "an attribute without a name"
        assert len(set(keys)) == len(keys), "an attribute that comes twice"
        assert len(record.attributes) <= 128
        assert 0 <= record.severity_number <= 24
        assert len(record.trace_id) in {0, 16}
        assert record.observed_time_unix_nano or record.time_unix_nano
    for one in records:
        _check_json(otlp_json.line(otlp_json.encode_logs([one])))


def _check_json(line: bytes) -> None:
    text = line.decode("utf-8")
    assert text.count("\n") == 1
    assert text.endswith("\n")
    (record,) = json.loads(text, parse_constant=_no_constant)["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert len(json.dumps(record, ensure_ascii=False).encode()) <= MAX_RECORD * 1.1  # OTLP/JSON has more around values
    assert re.fullmatch("[0-9a-f]{32}", record.get("traceId", "0" * 32))
    assert re.fullmatch("[0-9a-f]{16}", record.get("spanId", "0" * 16))
    for number in re.findall(r'"intValue":"(-?\d+)"', text):
        # A body that happens to say so is escaped, and does not match.
        assert -(2**63) <= int(number) < 2**63


def _no_constant(name: str):
    raise AssertionError(f"{name} is no JSON")


def check_console(people: str, lines: str, records: int) -> None:
    """One JSON line a record; for people one head a record, and what follows it cannot be taken for another."""
    for text in (people, lines):
        assert not FORBIDDEN.search(text), f"on the console: {FORBIDDEN.search(text)[0]!r}"
        text.encode()
        assert not text or text.endswith("\n")
    json_lines = lines.splitlines()
    assert len(json_lines) == records, f"{len(json_lines)} JSON lines for {records} records"
    for line in json_lines:
        found = json.loads(line, object_pairs_hook=_pairs, parse_constant=_no_constant)
        assert list(found)[:5] == ["timestamp", "level", "module", "message", "logger"]
        assert all(type(found[key]) is str for key in ("timestamp", "level", "module", "message", "logger", "service"))
    heads = [line for line in people.splitlines() if HUMAN.match(line)]
    assert len(heads) == records, f"{len(heads)} lines for {records} records"
    assert all(HUMAN.match(line) or line.startswith("    ") for line in people.splitlines()), "a line of no record"


def _pairs(pairs):
    keys = [key for key, _ in pairs]
    assert len(set(keys)) == len(keys), f"a key twice: {keys}"
    return dict(pairs)
