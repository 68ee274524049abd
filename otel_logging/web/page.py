"""The page as text: templates filled from what the other modules of this room made ready.

Needs Jinja2 and nothing else of the extra `web`, so that `otel-logging call ID --format html` starts no server's code.
Every template escapes what it is given; what is written into a page unescaped is only our own files.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from otel_logging.search import clock
from otel_logging.search.text import harmless
from otel_logging.web.rows import Because, Namer, Row, gap_key, record_row, rows_of
from otel_logging.web.timeline import BAR, COLUMNS, STRIP, timeline_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import jinja2

    from otel_logging.search.call_view import CallView
    from otel_logging.search.local import Searched
    from otel_logging.search.turns import Turn

HERE = Path(__file__).parent
STATIC = HERE / "static"
MOST_ROWS = 20_000  # records on one page; a longer call has several parts
UPLOT, UPLOT_CSS = "uplot-1.6.32.min.js", "uplot-1.6.32.min.css"
_FIRST_ROWS = 30  # about a screenful; with the head they are the page's first piece
_FIRST_END = "<!-- more follows -->"  # what comes out of a log is escaped and cannot be this
_PIECE = 131_072  # characters of the other pieces
CSS, MODULE = "page.css", "page.js"


@dataclass(slots=True)
class Header:
    """What the head of a call's page says, ready to print."""

    title: str
    state: str
    started: str
    lasted: str
    levels: dict[str, int]
    ends: list[tuple[str, str]]
    recovered: int
    kept: int
    books: str
    dropped: list[tuple[str, int]]
    first_error: Row | None
    errors: int
    parties: list[tuple[str, str]]
    missing: list[tuple[str, str, str]] = field(default_factory=list)  # when, the row's key, what
    notes: list[str] = field(default_factory=list)
    searched: str = ""


@dataclass(slots=True)
class Part:
    """Which of a long call's records a page lists: from `start` (counted from 0) to `end`, of `total`."""

    start: int
    end: int
    total: int
    before: int | None
    after: int | None


def render_call_html(view: CallView, *, now: int | None = None) -> str:
    """The call as one HTML file that needs no server and no network: style, script and records are inside.

    Args:
        view: the call.
        now: when the file is made, in nanoseconds since 1970 UTC; printed in it.

    Raises:
        ModuleNotFoundError: Jinja2, which the extra `web` brings, is not installed.
    """
    saved = clock.local(clock.now() if now is None else now)[:19]
    module, uplot = static(MODULE), static(UPLOT)
    policy = (
        f"default-src 'none'; style-src '{style_hash()}'; script-src '{_hash(uplot)}' '{_hash(module)}'; img-src data:"
    )
    context = call_context(view, most=0)
    return _render(
        "call.html", mode="file", saved=saved, policy=policy, module=_raw(module), uplot=_raw(uplot),
        cursor="", **context,
    )  # fmt: skip


def render_call(view: CallView, *, cursor: str, start: int = 0, most: int = MOST_ROWS) -> Iterator[str]:
    """The call as a page of the server, in pieces. The first is what a screen shows: a browser can paint that alone.

    Args:
        view: the call.
        cursor: where following it goes on.
        start: number of the first row, for a call that is longer than `most`.
        most: rows on one page.
    """
    values = call_context(view, start=start, most=most)
    return _pieces(_environment().get_template("call.html").generate(mode="serve", cursor=cursor, **values))


def _pieces(parts: Iterator[str]) -> Iterator[str]:
    held: list[str] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size > _PIECE or _FIRST_END in part:
            yield "".join(held)
            held, size = [], 0
    yield "".join(held)


def render_top(view: CallView) -> str:
    """The head, the timeline and the turns of a call, for a page that follows it."""
    return _render("top.html", mode="serve", **top_context(view))


def render_rows(rows: list[Row]) -> str:
    """Rows alone, for a page that follows a call."""
    return _render("rows.html", rows=rows)


def render(template: str, **values: Any) -> str:
    """Any other page of the server."""
    return _render(template, mode="serve", **values)


def call_context(view: CallView, *, start: int = 0, most: int = MOST_ROWS) -> dict[str, Any]:
    """What `call.html` prints."""
    rows = rows_of(view)
    part = part_of(len(rows), start, most)
    shown = rows[part.start : part.end]
    return {
        **top_context(view),
        "first_rows": shown[:_FIRST_ROWS],
        "more_rows": shown[_FIRST_ROWS:],
        "first_end": _Own(_FIRST_END),
        "details": details_of(shown),
        "part": part,
    }


def top_context(view: CallView) -> dict[str, Any]:
    """What `top.html` prints: of the records only what is counted or drawn, as it is made anew with each event."""
    turns = view.turns
    pasted = view.call_sid or (view.trace_ids[0] if view.trace_ids else "")
    return {
        "view": view,
        "call_id": harmless(pasted),
        "href": call_path(pasted),
        "head": _header(view),
        "timeline": timeline_of(view),
        "turns": turns,
        "longest": max((turn.latency or 0.0 for turn in turns), default=0.0),
        "geometry": {"columns": COLUMNS, "strip": STRIP, "bar": BAR},
        "harmless": harmless,
        "relative": clock.relative,
        "stacked": stacked,
    }


@dataclass(slots=True)
class Stacked:
    """One part of a turn's bar: percent from the left, percent wide, its length in milliseconds."""

    name: str
    x: float
    width: float
    length: float
    colour: int


def stacked(turn: Turn, longest: float) -> list[Stacked]:
    """A turn's waiting time as parts beside each other, with what no part explains last.

    `longest` is the call's longest wait, which fills the column. Parts that overlap leave a negative rest: it is
    listed, so that the numbers still add up, but has no width.
    """
    bars: list[Stacked] = []
    x = 0.0
    scale = 100 / max(longest, sum(length for _, length in turn.parts), 1)
    for number, (name, length) in enumerate(turn.parts):
        bars.append(Stacked(harmless(name), round(x, 2), round(length * scale, 2), length, number % 6))
        x += length * scale
    rest = turn.unattributed
    if abs(rest) >= 0.5 or not bars:
        name = "unattributed" if rest >= 0 else "overlap"
        bars.append(Stacked(name, round(x, 2), round(max(rest, 0) * scale, 2), rest, 9))
    return bars


def details_of(rows: list[Row]) -> dict[str, Any]:
    """What opened rows show, for the page's script: by key, each resource only once."""
    resources: dict[str, int] = {}
    listed: list[dict[str, str]] = []
    found: dict[str, Any] = {}
    for row in rows:
        if not row.details:
            continue
        mark = repr(row.details["resource"])
        if mark not in resources:
            resources[mark] = len(listed)
            listed.append(row.details["resource"])
        found[row.key] = {**row.details, "resource": resources[mark]}
    return {"rows": found, "resources": listed}


def part_of(total: int, start: int, most: int) -> Part:
    """The part that begins at `start`; `most` 0 means everything."""
    if not most:
        return Part(0, total, total, None, None)
    start = min(max(start, 0), max(total - 1, 0))
    end = min(start + most, total)
    return Part(start, end, total, max(start - most, 0) if start else None, end if end < total else None)


def call_path(pasted: str) -> str:
    """Where the server shows a call. An id that a browser would fold into another path goes into the query."""
    safe = quote(pasted.encode("utf-8", "surrogatepass"), safe="")
    return f"/call?id={safe}" if "/" in pasted or pasted.startswith(".") else f"/call/{safe}"


@functools.cache
def static(name: str) -> str:
    """One of our own files."""
    return (STATIC / name).read_text("utf-8")


def _header(view: CallView) -> Header:
    books, dropped = _books(view)
    trouble = [f"not read: {harmless(problem)}" for problem in view.searched.problems]
    if view.searched.broken:
        trouble.append(f"{view.searched.broken:,} broken lines skipped")
    return Header(
        title=f"Call {harmless(view.call_sid)}" if view.call_sid else f"Trace {(*view.trace_ids, '?')[0]}",
        state=view.state,
        started=clock.local(view.first) if view.first else "unknown",
        lasted=clock.duration(view.last - view.first),
        levels=view.levels,
        ends=[(harmless(service) or "(no name)", harmless(reason)) for service, reason in view.ends.items()],
        recovered=view.recovered,
        kept=len(view.records) - view.recovered,
        books=books,
        dropped=dropped,
        first_error=_first_error(view),
        errors=view.levels.get("ERROR", 0) + view.levels.get("CRITICAL", 0),
        parties=[(name.title(), harmless(text)) for name, text in view.parties.items()],
        missing=[(clock.relative(item.at - view.first), gap_key(item), item.sentence()) for item in view.missing],
        notes=[*(harmless(note) for note in (*view.notes, *(skew.sentence() for skew in view.skews))), *trouble],
        searched=searched_line(view.searched),
    )


def _first_error(view: CallView) -> Row | None:
    """The row of the first error, under the key that it has in the list."""
    namer = Namer()
    for record in view.records:
        key = namer.key(record)
        if record.level in {"ERROR", "CRITICAL"}:
            return record_row(record, view.first, key, Because(()))
    return None


def searched_line(searched: Searched) -> str:
    """What was looked at, so that silence is not read as "there is nothing"."""
    return f"searched {searched.files:,} files, {searched.lines:,} lines in {harmless(searched.store)}"


def _books(view: CallView) -> tuple[str, list[tuple[str, int]]]:
    """What the call's own summaries say was made, kept and dropped; empty where there is none yet."""
    told = view.books
    if not told.summaries:
        return "", []
    made, kept, recovered = (told.figures[name] for name in ("made", "kept", "recovered"))
    text = f"{made:,} made, {kept:,} kept, {sum(told.dropped.values()):,} dropped"
    if recovered:
        text += f", {recovered:,} recovered"
    return text, told.dropped.most_common()


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


@functools.cache
def _environment() -> jinja2.Environment:
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["css"] = _raw(style())
    made.filters["thousands"] = lambda number: f"{number:,}"
    made.filters["ms"] = lambda number: f"{number:,.0f}"
    return made


class _Own(str):
    """Text of ours that a template writes as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def _raw(text: str) -> _Own:
    """One of our own files for a `style` or `script` element, which it must not be able to end."""
    if "</s" in text.lower() or "<!--" in text:
        raise ValueError("a file of the page cannot stand inside HTML")
    return _Own(text)


def style() -> str:
    """The one style sheet, which every page holds: the first paint waits for no second request."""
    return static(UPLOT_CSS) + static(CSS)


@functools.cache
def style_hash() -> str:
    """What a content policy calls the style sheet."""
    return _hash(style())


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def plain(title: str, sentence: str) -> str:
    """A page that only says something, for refusals: made without templates, so that it cannot fail."""
    title, sentence = html.escape(title), html.escape(sentence)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1><p>{sentence}</p>'
    )
