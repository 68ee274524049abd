"""Datadog's log search on loopback: pages, rate limits, and its query language as far as we write it.

Requests and responses are held to the published description of `POST /api/v2/logs/events/search` (names, types,
limits), here as JSON Schemas in our words; the client's own models, made from the same description, check them too.
"""

from __future__ import annotations

import fnmatch
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jsonschema

REQUEST = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "filter": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "from": {"type": "string"},
                "to": {"type": "string"},
                "query": {"type": "string"},
                "indexes": {"type": "array", "items": {"type": "string"}},
                "storage_tier": {"enum": ["indexes", "online-archives", "flex"]},
            },
        },
        "options": {"type": "object"},
        "page": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"cursor": {"type": "string"}, "limit": {"type": "integer", "maximum": 1000}},
        },
        "sort": {"enum": ["timestamp", "-timestamp"]},
    },
}
TEXT = {"type": "string"}
RESPONSE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "data": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "id": TEXT,
                    "type": {"const": "log"},
                    "attributes": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "attributes": {"type": "object"},
                            "host": TEXT, "message": TEXT, "service": TEXT, "status": TEXT,
                            "tags": {"type": "array", "items": TEXT},
                            "timestamp": {"type": "string", "format": "date-time"},
                        },
                    },
                },
            },
        },
        "links": {"type": "object", "properties": {"next": TEXT}},
        "meta": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "elapsed": {"type": "integer"},
                "request_id": TEXT,
                "status": {"enum": ["done", "timeout"]},
                "page": {"type": "object", "additionalProperties": False, "properties": {"after": TEXT}},
                "warnings": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"code": TEXT, "detail": TEXT, "title": TEXT}},
                },
            },
        },
    },
}  # fmt: skip


class Server:
    """Holds events; answers like Datadog. `refusals` are statuses to answer first, `asked` the requests' bodies."""

    def __init__(self, page=1000):
        self.events, self.asked, self.refusals, self.keys, self.page = [], [], [], [], page
        self.status, self.warnings, self.remaining, self.ignore = "done", [], "10", False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.keys.append((self.headers.get("DD-API-KEY"), self.headers.get("DD-APPLICATION-KEY")))
                status, answer = outer.answer(self.path, json.loads(body))
                data = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in (
                    ("Content-Type", "application/json"), ("Content-Length", str(len(data))),
                    ("X-RateLimit-Limit", "300"), ("X-RateLimit-Period", "3600"),
                    ("X-RateLimit-Remaining", outer.remaining), ("X-RateLimit-Reset", "7"),
                ):  # fmt: skip
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()

    def add(self, message="x", at=0, *, number=None, service="media", status="info", **attributes):
        """Take in an event; `at` is seconds after 2024-01-21T19:30:26Z, a `__` in a keyword stands for a dot."""
        self.events.append(
            {
                "id": f"id{len(self.events) if number is None else number}",
                "type": "log",
                "attributes": {
                    "timestamp": f"2024-01-21T19:{30 + (26 + at) // 60:02d}:{(26 + at) % 60:02d}.000Z",
                    "status": status, "service": service, "message": message, "host": "h", "tags": ["env:prod"],
                    "attributes": nested(attributes),
                },
            }
        )  # fmt: skip

    def answer(self, path, body):
        """One request's answer, held to the description on both sides."""
        jsonschema.validate(body, REQUEST)
        self.asked.append(body)
        if path != "/api/v2/logs/events/search":
            return 404, {"errors": ["Not found"]}
        if self.refusals:
            return self.refusals.pop(0), {"errors": ["refused"]}
        fits = [event for event in self.events if self.ignore or matches(body["filter"]["query"], event["attributes"])]
        fits.sort(key=lambda event: event["attributes"]["timestamp"], reverse=body["sort"] == "-timestamp")
        start = int(body["page"].get("cursor", "0"))
        size = min(body["page"]["limit"], self.page)
        meta = {"elapsed": 1, "request_id": "r", "status": self.status, "page": {}, "warnings": self.warnings}
        if start + size < len(fits):
            meta["page"] = {"after": str(start + size)}
        answer = {"data": fits[start : start + size], "meta": meta}
        jsonschema.validate(answer, RESPONSE)
        return 200, answer


def nested(flat):
    """`a__b` as Datadog shows it: an object within an object."""
    made = {}
    for key, value in flat.items():
        place = made
        *above, last = key.split("__")
        for name in above:
            place = place.setdefault(name, {})
        place[last] = value
    return made


_TOKEN = re.compile(r'\s*(\(|\)|OR\b|(?:[^\s():"\\]|\\.)+:|"(?:[^"\\]|\\.)*"|(?:[^\s()"\\:]|\\.)+)')


def matches(query, event):
    """Whether the event fits the query; a query outside of what we write is an error."""
    if query == "*":
        return True
    tokens, place = [], 0
    while place < len(query):
        found = _TOKEN.match(query, place)
        assert found, f"not understood: {query[place:]!r}"
        tokens.append(found[1])
        place = found.end()
    answer = True
    while tokens:
        answer &= _term(tokens, event)
    return answer


def _term(tokens, event):
    token = tokens.pop(0)
    if token == "(":
        answer = _term(tokens, event)
        while tokens.pop(0) == "OR":
            answer |= _term(tokens, event)
        return answer
    assert token.endswith(":"), token
    values = [tokens.pop(0)]
    if values == ["("]:
        values = []
        while tokens:
            values.append(tokens.pop(0))
            if tokens.pop(0) == ")":
                break
    return any(_field(token[:-1], value, event) for value in values)


def _field(name, value, event):
    exact = value.startswith('"')
    value = re.sub(r"\\(.)", r"\1", value[1:-1] if exact else value)
    if name == "*":
        texts = json.dumps(event, ensure_ascii=False).lower()
        return value.strip("*") in texts
    found = event.get(name) if not name.startswith("@") else event["attributes"]
    for key in name[1:].split(".") if name.startswith("@") else ():
        found = found.get(key) if isinstance(found, dict) else None
    if name == "trace_id":
        found = event["attributes"].get("trace_id")
    if found is None:
        return False
    return str(found) == value if exact or "*" not in value else fnmatch.fnmatchcase(str(found), value)
