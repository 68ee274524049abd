"""The page as text: one file that needs nothing, and nothing of a log in it is markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from otel_logging.search.call_view import CallView
from otel_logging.search.local import Searched, scan, scan_spans
from otel_logging.search.missing import missing_of
from otel_logging.search.one_call import find_call
from otel_logging.search.turns import Turn
from otel_logging.web import page

CALL = "CA" + "a1" * 16
EVIL = "</script><script>hacked()</script><img src=x onerror=hacked()>\"'><b onclick=hacked()>{{7*7}}&amp;"
UPLOT = {
    "uplot-1.6.32.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uplot-1.6.32.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "uplot-1.6.32.LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}


class Seen(HTMLParser):
    """The elements, attributes and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attrs, self.blocks, self._in = [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attrs += [(tag, key, value) for key, value in attrs]
        if tag in ("script", "style"):
            self._in = (tag, dict(attrs))

    def handle_data(self, data):
        if self._in:
            self.blocks.append((*self._in, data))

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._in = None


def hashed(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


class TestFile:
    def test_needs_nothing(self, view):
        """The file refers to no other file or host, and its policy allows exactly what stands in it."""
        seen = Seen(page.render_call_html(view))
        assert not [attr for attr in seen.attrs if attr[1] in ("src", "srcset", "action", "data", "poster")]
        assert all(value.startswith("#") for tag, key, value in seen.attrs if key == "href")
        policy = next(
            value for tag, key, value in seen.attrs if tag == "meta" and value.startswith("default-src 'none'")
        )
        allowed = set(re.findall(r"'sha256-[^']+'", policy))
        run = [text for tag, attrs, text in seen.blocks if attrs.get("type") != "application/json"]
        assert {hashed(text) for text in run} == allowed
        assert len(run) == 3
        assert "connect-src" not in policy
        assert not [attr for attr in seen.attrs if attr[1] == "style" or attr[1].startswith("on")]

    def test_says_what_it_shows(self, view):
        """Id, state, counts, the first error, the books, both services, the recovered frame."""
        text = page.render_call_html(view, now=1_705_865_426_000_000_000)
        for part in (CALL, "saved 2024-01-21 19:30:26", "First error", "100 made, 3 kept, 97 dropped, 1 recovered",
                     "policy:audio-events", "שלום", "ValueError: no", "row d rec", "no turn events", ">worker<"):  # fmt: skip
            assert part in text, part

    def test_no_server(self, view, tmp_path):
        """Making the file imports neither Starlette nor uvicorn, and nothing of OpenTelemetry."""
        code = (
            "import sys, pathlib; from otel_logging.search.one_call import find_call\n"
            "from otel_logging.web.page import render_call_html\n"
            f"render_call_html(find_call(pathlib.Path({view.searched.store!r}), {CALL!r}))\n"
            "print([name for name in sys.modules if name.split('.')[0] in ('starlette', 'uvicorn', 'opentelemetry')])"
        )
        assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"

    def test_all_rows(self, store):
        """A file has every record, however many."""
        store.log("a", *(store.record(f"n{n}", at=n, call=CALL) for n in range(30)))
        view = find_call(store.root, CALL)
        assert page.render_call_html(view).count('<li class="row') == 30
        assert "".join(page.render_call(view, cursor="", most=10, start=20)).count('<li class="row') < 30


class TestPieces:
    def test_the_first_is_a_screenful(self, store):
        """The first piece has the style, the head and the first rows; all pieces together have each row once."""
        store.log("a", *(store.record(f"n{n}.", at=n / 50, call=CALL) for n in range(900)))
        first, *others = page.render_call(find_call(store.root, CALL), cursor="")
        assert page.style() in first
        assert CALL in first
        assert first.count('<li class="row') == 30
        assert "n29." in first
        keys = re.findall(r'<li class="row [^"]*" id="([^"]+)"', first + "".join(others))
        assert len(keys) == len(set(keys)) == 900
        assert len(others) < 20

    def test_a_short_call_is_one(self, view):
        """A call that fits on a screen comes in one piece, so nobody waits for the second."""
        assert len(list(page.render_call(view, cursor=""))) == 1

    def test_a_record_cannot_end_it(self, store):
        """The mark between the pieces cannot come out of a log."""
        store.log("a", store.record("<!-- more follows -->", call=CALL))
        assert len(list(page.render_call(find_call(store.root, CALL), cursor=""))) == 1


class TestHostile:
    @pytest.fixture
    def text(self, store):
        """A page in which every field that a log can fill holds markup."""
        record = store.record(EVIL, call=EVIL, severity=17, **{EVIL: EVIL, "turn.user_text": EVIL, "turn.agent_text": EVIL,
                              "turn.latency_ms": 5, f"turn.latency.{EVIL}": 3, "otel_logging.recovered": True,
                              "otel_logging.trigger": EVIL, "direction": EVIL, "from": EVIL, "to": EVIL},
                              exception__stacktrace=EVIL)  # fmt: skip
        record["eventName"] = "turn"
        summary = store.record(
            EVIL, at=20, call=EVIL, otel_logging__made=2, otel_logging__kept=9, otel_logging__dropped_by={EVIL: 1}
        )
        summary["eventName"] = "otel_logging.call.summary"
        store.log("a", record, summary, service=EVIL, scope=EVIL)
        store.trace("a", store.span(EVIL, trace="a1" * 16, span="b" * 16, call=EVIL, failed=True, **{EVIL: EVIL}),
                    store.span("call", trace="a1" * 16, span="c" * 16, call=EVIL, otel_logging__end_reason=EVIL),
                    service=EVIL)  # fmt: skip
        view = CallView(EVIL, ("a1" * 16,), list(scan(store.root)), list(scan_spans(store.root)), Searched())
        view.notes.append(EVIL)
        view.missing = missing_of(view.records, view.spans)
        assert len(view.missing) == 1
        assert view.parties.keys() == {"direction", "from", "to"}
        view.searched.problem(EVIL, EVIL)
        assert len(view.records) == 2
        assert len(view.spans) == 2
        return page.render_call_html(view), "".join(page.render_call(view, cursor="0123abcd.1")), page.render_top(view)

    def test_is_text(self, text):
        """No element and no attribute comes out of a log: the page has those of a harmless one."""
        for shown in text:
            seen = Seen(shown)
            assert not {"img", "iframe", "object"} & set(seen.tags)
            assert not [attr for attr in seen.attrs if attr[1].startswith("on")]
            assert "hacked()" not in "".join(
                data for _, attrs, data in seen.blocks if attrs.get("type") != "application/json"
            )
            assert "49" not in re.findall(r"\{\{.*?\}\}", shown)

    def test_details_stay_data(self, text):
        """The block of details is JSON from its first to its last character."""
        (block,) = [data for _, attrs, data in Seen(text[0]).blocks if attrs.get("type") == "application/json"]
        known = json.loads(block)
        assert any([EVIL, EVIL] in value["pairs"] for value in known["rows"].values())

    @pytest.mark.parametrize(
        "pasted", ["a/b", "../x", "..", ".", "a?b#c", "ä", "a b", "\ud800", "//evil.example", "javascript:x"]
    )
    def test_call_path(self, pasted):
        """The address of a call is one of this server, whatever its id."""
        place = page.call_path(pasted)
        assert place.startswith(("/call/", "/call?id="))
        assert not set("\\ #<>\"'") & set(place)
        assert ".." not in place.partition("?")[0]


def test_clocks_that_disagree(store):
    """A clock that cannot be right is said in the head; no record is moved."""
    store.log("a", store.record("x", call=CALL))
    store.trace("a", store.span("job", trace="a1" * 16, span="1" * 16, start=5, end=6, call=CALL))
    child = store.span("work", trace="a1" * 16, span="2" * 16, parent="1" * 16, start=2, end=3, call=CALL)
    store.trace("b", child, service="worker")
    assert "the clock of worker is at least 3.0s behind that of media" in page.render_call_html(
        find_call(store.root, CALL)
    )


def test_parties(store):
    """Direction and parties stand in the head as they were stored."""
    store.log("a", store.record("x", call=CALL, direction="inbound", **{"from": "[PHONE]", "to": "<b>+1"}))
    text = page.render_call_html(find_call(store.root, CALL))
    for part in ("<dt>Direction</dt><dd><bdi>inbound<", "<dt>From</dt><dd><bdi>[PHONE]<", "<bdi>&lt;b&gt;+1<"):
        assert part in text, part


def test_missing(store):
    """What is known to be missing is told in the head, which leads to the row that marks the place."""
    summary = store.record("Call summary", at=7, call=CALL, otel_logging__made=9, otel_logging__kept=3)
    summary["eventName"] = "otel_logging.call.summary"
    store.log("a", store.record("x", call=CALL), summary)
    text = page.render_call_html(find_call(store.root, CALL))
    (key,) = re.findall(r'<a href="#(m[0-9a-f]+)"><b>Missing</b> <time>\+00:07.000</time>', text)
    assert (
        f'<li class="gap lost" id="{key}" data-t="7000.000001">2 of 3 records that media kept are not here</li>' in text
    )
    assert text.index("Call summary</div>") < text.index(f'id="{key}"')


class TestTurns:
    def test_parts_add_up(self):
        """The bars of a turn are as long as its wait, and their numbers add up to it, overlaps included."""
        for parts in ([("a", 300.0), ("b", 500.0)], [("a", 900.0), ("b", 400.0)], []):
            bars = page.stacked(Turn(1, 0, latency=1000.0, parts=parts), 2000.0)
            assert sum(bar.length for bar in bars) == pytest.approx(1000)
            assert all(bar.width >= 0 and bar.x + bar.width <= 100.01 for bar in bars)

    def test_shown(self, store):
        """A turn's row has its texts, the wait, the mark over budget and every part."""
        record = store.record("turn", call=CALL, **{"turn.latency_ms": 2500, "turn.latency.llm_ms": 2000, "turn.user_text": "שלום",
                              "turn.agent_text": "no", "turn.interrupted": True})  # fmt: skip
        record["eventName"] = "turn"
        store.log("a", record)
        text = page.render_call_html(find_call(store.root, CALL))
        for part in (
            '<td dir="auto">שלום</td>',
            "<b>2,500</b>",
            "over</span>",
            "llm 2,000",
            "unattributed 500",
            "<s title",
        ):
            assert part in text, part


class TestVendored:
    @pytest.mark.parametrize("name", UPLOT)
    def test_is_what_was_published(self, name):
        """UPlot is the published file, byte for byte, with its licence beside it."""
        assert hashlib.sha256((page.STATIC / name).read_bytes()).hexdigest() == UPLOT[name]

    def test_no_inline_style(self):
        """No template has a style attribute, a handler, or text that is not escaped."""
        for path in (page.HERE / "templates").glob("*.html"):
            text = path.read_text("utf-8")
            assert not re.search(r"\sstyle=|\son[a-z]+=|\|\s*safe|autoescape|javascript:", text), path.name


def test_parts():
    """A call that is longer than a page has parts that meet and leave nothing out."""
    first = page.part_of(25, 0, 10)
    second = page.part_of(25, first.after, 10)
    third = page.part_of(25, second.after, 10)
    assert [(part.start, part.end) for part in (first, second, third)] == [(0, 10), (10, 20), (20, 25)]
    assert (first.before, third.before, third.after) == (None, 10, None)
    assert page.part_of(0, 99, 10).end == 0
    assert page.part_of(25, 10**9, 10).end == 25
