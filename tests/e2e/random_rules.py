"""Policies and records made by chance from a small stock of fields and values, so that they often meet.

The same seed makes the same ones. Everything that policies can say and the Collector can do as well comes up: all
fields, conditions, negation, nested attributes, samples by a key, transforms in every order. Values come in all types.
"""

from __future__ import annotations

import base64
from random import Random
from typing import Any

TEXTS = [
    "[AUDIO_DELTA] 480 bytes", "[audio_delta] x", "order 12345 paid $9.99", 'he said "no"\\n', "two\nlines\ttab", "a.b*c?",
    "שלום 📞 [DB] loaded", "it's 50% ${HOME} $1 $$", "x", "", "0a1b", "TRUE", "7", '{"a":1}', "naïve ſtraße K", "\u202eABC",
]  # fmt: skip
PARTS = ["[AUDIO_DELTA]", "order", "$", "\\n", '"', "\n", "'", "שלום", "a.b", "0a", "s", "", "K", "}", "\u202e"]
REGEXES = [
    r"^\[AUDIO_", "(?i)audio", r"\d+", "^$", "$", r"[א-ת]+", r"\$[0-9.]+", r"(?s)two.lines", r"\\n", '"no"', r"^x?", r"0a",
    r"(order) (?P<n>[0-9]+)", r"(s+)(z)?", r"\bK\b", r"[^\x00-\x7F]", r"\t|\n", "true|false", "'", r"a\.b\*",
]  # fmt: skip
REPLACEMENTS = ["[X]", "$1#", "${n}", "$$", "<$0>", "$2", "\\1", '"', "a$9b", "'$$1'", "${1}1"]
SEVERITY_TEXTS = ["", "INFO", "info", "WARN", "Warning", "ERROR", "critical", "fatal", "note"]
NUMBERS = [0, 1, -5, 7, 7.0, 2.5, -0.5, 1e22, 10**15]
TRACES = ["", "00112233445566778899aabbccddeeff", "a" * 32, "5" * 32]
SPANS = ["", "0123456789abcdef", "f" * 16]
KEYS = ["user", "size", "flag", "a.b", "raw", 'q"k', "list"]
NESTED = [["http", "path"], ["http", "inner", "deep"], ["user", "name"]]
HOMES = ["log_attribute", "resource_attribute", "scope_attribute"]
FIELDS = [
    "body", "body", "body", "severity_text", "severity_number", "trace_id", "span_id", "event_name", "scope_name",
    "scope_version", "resource_schema_url", "scope_schema_url",
]  # fmt: skip
URLS = ["", "https://opentelemetry.io/schemas/1.30.0", "x"]


def scalar(random: Random) -> dict[str, Any]:
    """An AnyValue that is no map and no list."""
    kind = random.randrange(6)
    if kind < 3:
        return {"stringValue": random.choice(TEXTS)}
    if kind == 3:
        number = random.choice(NUMBERS)
        return {"doubleValue": number} if isinstance(number, float) else {"intValue": str(number)}
    if kind == 4:
        return {"boolValue": random.random() < 0.5}
    return {"bytesValue": base64.b64encode(random.choice([b"\x0a\x1b", b"abc", b"\x00", b"\xff" * 16])).decode()}


def any_value(random: Random, depth: int = 0) -> dict[str, Any]:
    """Any AnyValue."""
    kind = random.randrange(10)
    if kind < 7 or depth > 2:
        return scalar(random)
    if kind == 7:
        return {"arrayValue": {"values": [scalar(random) for _ in range(random.randrange(3))]}}
    keys = random.sample(["path", "name", "inner", "deep", "a"], random.randrange(1, 4))
    return {"kvlistValue": {"values": [{"key": key, "value": any_value(random, depth + 1)} for key in keys]}}


def attributes(random: Random) -> list[dict[str, Any]]:
    """Attributes; `conv`, which policies sample by, is one of the types that have a hash in the Collector."""
    found = [{"key": key, "value": any_value(random)} for key in random.sample(KEYS, random.randrange(2, 7))]
    if random.random() < 0.5:
        inner = [{"key": "deep", "value": any_value(random)}] if random.random() < 0.5 else []
        values = [
            {"key": "path", "value": any_value(random)},
            {"key": "inner", "value": {"kvlistValue": {"values": inner}}},
        ]
        found.append({"key": "http", "value": {"kvlistValue": {"values": values}}})
    if random.random() < 0.7:
        conv: Any = random.choice([f"c{random.randrange(50)}", random.randrange(50), random.random() < 0.5])
        kind = "boolValue" if isinstance(conv, bool) else "intValue" if isinstance(conv, int) else "stringValue"
        found.append({"key": "conv", "value": {kind: conv}})
    if random.random() < 0.4:
        found.append({"key": "nothing", "value": {}})
    return found


def record(random: Random, name: str) -> dict[str, Any]:
    """One request with one record, whose id is `name`, in a resource and a scope of its own."""
    body = {"stringValue": random.choice(TEXTS)} if random.random() < 0.75 else any_value(random)
    made = {
        "timeUnixNano": "1700000000000000000",
        "severityNumber": random.choice([0, 0, 1, 5, 9, 12, 13, 17, 21]),
        "severityText": random.choice(SEVERITY_TEXTS),
        "body": body if random.random() < 0.95 else {},
        "attributes": [*attributes(random), {"key": "test.id", "value": {"stringValue": name}}],
        "traceId": random.choice(TRACES),
        "spanId": random.choice(SPANS),
        "eventName": random.choice(["", "order.paid", "x"]),
    }
    if random.random() < 0.1:
        made["attributes"].append({"key": "otel_logging.trigger", "value": {"stringValue": "error"}})
    scope = {
        "name": random.choice(["", "server.media", "x"]),
        "version": random.choice(["", "1.0"]),
        "attributes": attributes(random),
    }
    scope_logs = {"scope": scope, "logRecords": [made], "schemaUrl": random.choice(URLS)}
    resource = {"attributes": attributes(random)}
    return {"resource": resource, "scopeLogs": [scope_logs], "schemaUrl": random.choice(URLS)}


def selector(random: Random, *, standard: bool = False) -> dict[str, Any]:
    """A field, or with `standard` one that can be changed."""
    if random.random() < 0.5:
        fields = [
            field for field in FIELDS if not (standard and field in {"severity_number", "scope_name", "scope_version"})
        ]
        return {"log_field": random.choice(fields)}
    return {random.choice(HOMES): random.choice([*KEYS, *KEYS, *NESTED, "conv", "nothing"])}


def matcher(random: Random) -> dict[str, Any]:
    """One condition."""
    kind = random.choice(
        [
            "exact",
            "regex",
            "regex",
            "starts_with",
            "ends_with",
            "contains",
            "exists",
            "equals",
            "equals",
            "gt",
            "gte",
            "lt",
            "lte",
        ]
    )
    value: Any
    if kind == "regex":
        value = random.choice(REGEXES)
    elif kind == "exists":
        value = random.random() < 0.7
    elif kind == "equals":
        value = random.choice(
            [*TEXTS, *NUMBERS, True, False, {"hex_value": "0a1b"}, *TRACES[1:], *SPANS[1:], *SEVERITY_TEXTS]
        )
    elif kind in {"gt", "gte", "lt", "lte"}:
        value = random.choice([*NUMBERS, 9, 13])
    else:
        value = random.choice([*TEXTS, *PARTS, *PARTS, *TRACES[1:], "INFO", "0011", "ff"])
    made = {**selector(random), kind: value}
    if random.random() < 0.35:
        made["negate"] = True
    if random.random() < 0.3:
        made["case_insensitive"] = True
    return made


def transform(random: Random) -> dict[str, Any]:
    """Some operations of some kinds."""
    made: dict[str, Any] = {}
    if random.random() < 0.4:
        made["remove"] = [selector(random, standard=True) for _ in range(random.randrange(1, 3))]
    if random.random() < 0.7:
        made["redact"] = [_redaction(random) for _ in range(random.randrange(1, 4))]
    if random.random() < 0.5:
        home = random.choice(HOMES)
        path = random.choice([*KEYS, *NESTED])
        made["rename"] = [
            {f"from_{home}": path, "to": random.choice(["user", "new", "path"]), "upsert": random.random() < 0.5}
        ]
    if random.random() < 0.4:
        value = random.choice(["", "new", "$1", "00112233445566778899aabbccddee00", "0123456789abcde0"])
        made["add"] = [{**selector(random, standard=True), "value": value, "upsert": random.random() < 0.5}]
    return made


def _redaction(random: Random) -> dict[str, Any]:
    made = {**selector(random, standard=True)}
    if random.random() < 0.7:
        made["regex"] = random.choice([*REGEXES, "[0-9a-f]{4}$", "^00"])
    if random.random() < 0.8:
        made["replacement"] = random.choice([*REPLACEMENTS, "0000", "00112233445566778899aabbccddee00"])
    return made


def policy(random: Random, number: int) -> dict[str, Any]:
    """One policy."""
    # Most records meet every second policy, so that several have a say in one record.
    broad = random.choice(
        [
            {"log_field": "body"},
            {"log_attribute": "user"},
            {"log_attribute": ["http", "path"]},
            {"log_attribute": "nothing"},
        ]
    )
    matchers = [{**broad, "exists": True}] if random.random() < 0.6 else [matcher(random)]
    log: dict[str, Any] = {"match": [*matchers, *(matcher(random) for _ in range(random.choice([0, 0, 1, 1, 2])))]}
    made = {"id": f"p{random.randrange(90)}-{number}", "log": log}
    fate = random.random()
    if fate < 0.25:
        log["keep"] = "none"
    elif fate < 0.5:
        log["keep"] = random.choice(["0%", "10%", "50%", "50%", "99.5%", "100%"])
        key: dict[str, Any] = random.choice(
            [
                {"log_attribute": "conv"},
                {"log_attribute": "conv"},
                {"resource_attribute": "conv"},
                {"log_field": "trace_id"},
            ]
        )
        log["sample_key"] = key
        log["match"] = [*log["match"][: random.randrange(2)], {**key, "exists": True}]
    if fate >= 0.25 and random.random() < 0.8:
        log["transform"] = transform(random)
    if random.random() < 0.3:
        made["labels"] = [{"key": "otel-logging.class", "value": {"string_value": "frame"}}]
    return made
