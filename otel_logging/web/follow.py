"""Following one live call: what to send to a page that shows it, as server-sent events.

The page knows its rows by their keys and ignores those it has, so sending a row twice does no harm; that is what makes
resuming simple. An event's id is the place in the store's files behind it. No HTTP in here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from otel_logging.plain import replace
from otel_logging.search import clock
from otel_logging.search.call_view import state_of
from otel_logging.search.missing import missing_of
from otel_logging.search.one_call import belongs, find_call, seen_traces
from otel_logging.search.spans import Owners
from otel_logging.search.tail import Tail
from otel_logging.web.page import details_of, render_rows, render_top
from otel_logging.web.rows import Because, Row, fingerprint, gap_rows, record_row, rows_of, span_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from otel_logging.search.record import Record
    from otel_logging.search.spans import Span

DONE = ("complete", "truncated")


class Follower:
    """One page's view of a call that goes on.

    Args:
        store: the store's folder.
        pasted: the call.
        place: behind what the page shows; text that `Tail.place` gave.

    Raises:
        ValueError: `place` is no place.
        NotFound: the store no longer holds the call.
    """

    def __init__(self, store: Path, pasted: str, place: str) -> None:
        self._store = store
        self._pasted = pasted
        self._tail = Tail(store, place)
        self._view = find_call(store, pasted)
        self._known = {fingerprint(record) for record in self._view.records}
        self._spans = {span.span_id for span in self._view.spans}
        self._gaps = {row.key for row in gap_rows(self._view)}

    @property
    def state(self) -> str:
        """The call's state now."""
        return self._view.state

    def events(self) -> Iterator[str]:
        """What happened since the last time, as text for the wire; nothing if nothing did."""
        before = self._view.state
        news = self._tail.read(self._needles())
        records = [record for record in news.records if self._mine(record, news.spans)]
        spans = [span for span in news.spans if self._mine(span, news.spans)]
        mine: list[Record | Span] = [*records, *spans]
        traces = {trace for item in mine for trace in seen_traces(item)}
        if news.lost or traces - set(self._view.trace_ids):
            # A packed file, or a trace that older records may belong to: read the whole call again.
            self._view = find_call(self._store, self._pasted)
            self._known |= {fingerprint(record) for record in self._view.records}
            rows = rows_of(self._view)
        else:
            rows = self._rows(records, spans)
        self._view.state = self._state()
        if not rows and before == self._view.state and before not in DONE:
            return
        gaps = {row.key: row for row in gap_rows(self._view)}
        rows += [row for key, row in gaps.items() if key not in self._gaps]
        gone = sorted(self._gaps - gaps.keys())
        self._gaps = set(gaps)
        if rows or gone:
            yield event("rows", _payload(rows, gone), self._tail.place())
        if rows or before != self._view.state:
            yield event("top", {"html": render_top(self._view), "state": self._view.state}, self._tail.place())
        if self._view.state in DONE:
            yield event("end", {}, self._tail.place())

    def _needles(self) -> tuple[bytes, ...]:
        texts = (self._view.call_sid, *self._view.trace_ids)
        return tuple({json.dumps(text)[1:-1].lower().encode() for text in texts if text and text.isascii()}) or ()

    def _mine(self, item: Record | Span, fresh: list[Span]) -> bool:
        return belongs(item, self._view.call_sid, set(self._view.trace_ids), Owners([*self._view.spans, *fresh]))

    def _rows(self, records: list[Record], spans: list[Span]) -> list[Row]:
        """Take them into the view, and make rows of them."""
        new = [record for record in records if fingerprint(record) not in self._known]
        self._known |= {fingerprint(record) for record in new}
        later = [span for span in spans if span.span_id not in self._spans]
        self._spans |= {span.span_id for span in later}
        if new or later:
            self._view = replace(
                self._view,
                records=sorted([*self._view.records, *new], key=lambda record: record.order),
                spans=sorted([*self._view.spans, *later], key=lambda span: (span.start, span.end)),
            )
            if self._view.state != "truncated":
                self._view.missing = missing_of(self._view.records, self._view.spans)
        because = Because(self._view.records)
        rows = [record_row(record, self._view.first, fingerprint(record), because) for record in records]
        return rows + [span_row(span, self._view.first) for span in spans]

    def _state(self) -> str:
        if self._view.state == "truncated":
            return "truncated"
        latest = max((record.time for record in self._view.records), default=0)
        hung_up = max((span.end for span in self._view.spans if span.hung_up), default=0)
        return state_of(latest=latest, hung_up=hung_up, now=clock.now())


def event(name: str, data: Any, place: str) -> str:
    """One server-sent event. JSON keeps line breaks out of it."""
    return f"id: {place}\nevent: {name}\ndata: {json.dumps(data)}\n\n"


def _payload(rows: list[Row], gone: list[str]) -> dict[str, Any]:
    return {"html": render_rows(rows), "details": details_of(rows), "gone": gone}
