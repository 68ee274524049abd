"""The timeline's geometry: lanes of spans, one strip of ticks for each service, an axis. Numbers only, no HTML.

Positions are percent of the call's length, as SVG attributes take them: the page's content policy forbids inline style.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from otel_logging.search import clock
from otel_logging.search.text import harmless

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_logging.search.call_view import CallView
    from otel_logging.search.record import Record
    from otel_logging.search.spans import Span

COLUMNS = 500  # of a service's strip
STRIP = 26  # its height in pixels
BAR = 14
_ROOM = 6.0  # percent that a label needs to say anything
_DEEPEST = 4  # rows of a lane in which spans overlap
_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000)  # milliseconds
_LABELS = 8

# By what a lane's spans are known: the words their names begin with, as voice frameworks name them.
_LANES = (
    ("caller", ("user", "caller", "customer")),
    ("agent", ("agent", "bot", "assistant")),
    ("STT", ("stt", "asr", "transcri", "speech_to_text")),
    ("LLM", ("llm", "chat", "generate", "completion", "response")),
    ("TTS", ("tts", "synthes", "text_to_speech")),
    ("tools", ("tool", "function", "execute_tool", "mcp")),
    ("transport", ("websocket", "media", "transport", "webrtc", "sip", "rtp")),
)
_ORDER = (*(name for name, _ in _LANES), "turns", "calls", "spans")


@dataclass(slots=True)
class Bar:
    """A span on its lane: percent from the left, percent wide, pixels from the top."""

    x: float
    width: float
    y: int
    key: str
    title: str
    failed: bool
    label: str = ""  # written into a bar that has room for it


@dataclass(slots=True)
class Lane:
    """One line of the timeline; `bars` for spans, `ticks` (SVG path by class) for a service's records."""

    name: str
    kind: str
    height: int
    note: str = ""
    bars: list[Bar] = field(default_factory=list)
    ticks: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Timeline:
    """Lanes over one axis. `start` and `length` are milliseconds, `start` relative to the call's first record."""

    start: float
    length: float
    lanes: list[Lane]
    axis: list[tuple[float, str]]


def timeline_of(view: CallView) -> Timeline:
    """The timeline of a call; without lanes where nothing has a time."""
    times = [record.time for record in view.records if record.time]
    times += [moment for span in view.spans for moment in (span.start, span.end) if moment]
    if not times:
        return Timeline(0.0, 0.0, [], [])
    first, last = min(times), max(times)
    length = max(last - first, 1_000_000)  # a call of one record still has an axis
    lanes = [*_span_lanes(view.spans, first, length), *_strips(view.records, first, length)]
    start = (first - view.first) / 1e6
    return Timeline(start, length / 1e6, lanes, list(_axis(start, length / 1e6)))


def lane_of(span: Span) -> str:
    """The lane that a span belongs on."""
    name = span.name.lower()
    if name == "call":
        return "calls"
    if name == "turn":
        return "turns"
    operation = span.attributes.get("gen_ai.operation.name")
    if operation == "execute_tool":
        return "tools"
    for lane, words in _LANES:
        if name.startswith(words):
            return lane
    if operation is not None:
        return "LLM"
    return "transport" if "http.request.method" in span.attributes else "spans"


def _span_lanes(spans: Iterable[Span], first: int, length: int) -> list[Lane]:
    grouped: dict[str, list[Span]] = {}
    for span in spans:
        grouped.setdefault(lane_of(span), []).append(span)
    lanes = []
    for name in sorted(grouped, key=_ORDER.index):
        lane = Lane(name, "spans", 0)
        free = [0] * _DEEPEST  # where each row's last span ends
        for span in grouped[name]:
            row = next((row for row in range(_DEEPEST) if free[row] <= span.start), _DEEPEST - 1)
            free[row] = max(free[row], span.end)
            x = _percent(span.start - first, length)
            width = min(max(_percent(span.end - span.start, length), 0.15), 100 - x)
            title = f"{span.name} · {span.service} · {clock.duration(span.end - span.start)}"
            label = harmless(f"{span.name} · {span.service}") if width > _ROOM else ""
            bar = Bar(x, width, 4 + row * (BAR + 2), f"s{span.span_id or ''}", harmless(title), span.failed, label)
            lane.bars.append(bar)
            lane.height = max(lane.height, bar.y + BAR + 4)
        lanes.append(lane)
    return lanes


def _strips(records: Iterable[Record], first: int, length: int) -> list[Lane]:
    """A strip for each service: at most one tick for each column and class, as high as there are records in it."""
    counts: dict[str, dict[str, dict[int, int]]] = {}
    totals: dict[str, int] = {}
    for record in records:
        totals[record.service] = totals.get(record.service, 0) + 1
        if record.time:
            column = min((record.time - first) * COLUMNS // length, COLUMNS - 1)
            columns = counts.setdefault(record.service, {}).setdefault(_class(record), {})
            columns[column] = columns.get(column, 0) + 1
    lanes = []
    for service in sorted(totals):
        lane = Lane(harmless(service) or "(no name)", "records", STRIP, note=f"{totals[service]:,}")
        lane.ticks = {name: _path(columns) for name, columns in sorted(counts.get(service, {}).items())}
        lanes.append(lane)
    return lanes


def _class(record: Record) -> str:
    """Sorts so that what matters is drawn last, on top."""
    level = record.level
    if level in {"ERROR", "CRITICAL"}:
        return "t9 e"
    if level == "WARNING":
        return "t5 w"
    return "t0 rec" if record.recovered else "t1 kept"


def _path(columns: dict[int, int]) -> str:
    parts = []
    for column in sorted(columns):
        # Two pixels more each time the number doubles: one record is seen, and thousands fit.
        high = min(10 + 2 * columns[column].bit_length(), STRIP - 4)
        parts.append(f"M{column + 0.5:g} {STRIP - 2}v-{high}")
    return "".join(parts)


def _percent(part: int, whole: int) -> float:
    return round(max(part, 0) * 100 / whole, 3)


def _axis(start: float, length: float) -> Iterator[tuple[float, str]]:
    step = next((step for step in _STEPS if length / step <= _LABELS), None)
    if step is None:
        step = -(-int(length / _LABELS) // 60_000) * 60_000  # whole minutes
    at = -(-start // step) * step
    while at <= start + length:
        percent = round((at - start) * 100 / length, 3)
        if percent < 97:  # a label at the very end would be cut
            yield percent, _label(at, step)
        at += step


def _label(millis: float, step: int) -> str:
    sign = "-" if millis < 0 else ""
    minutes, rest = divmod(int(abs(millis)), 60_000)
    text = f"{minutes}:{rest // 1000:02d}"
    return sign + (f"{text}.{rest % 1000:03d}".rstrip("0").rstrip(".") if step < 1000 else text)
