"""Giving remembered messages back: as OTel records with their own times and ids, or as a page for the attic.

Only translation and pacing. Whether a call is given back, and whether there is a budget for it, is `recorder`'s
business; where records go is the pipeline's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from opentelemetry._logs import LogRecord
from opentelemetry.trace import TraceFlags

from otel_logging import trouble
from otel_logging.bridge import translate
from otel_logging.bridge.translate import VERDICT
from otel_logging.bridge.values import clean_text
from otel_logging.policy.engine import KEPT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_logging.bridge.background import Background
    from otel_logging.bridge.chunk import Entry
    from otel_logging.bridge.pipeline import Pipeline

_PAUSE_EVERY: Final = 32  # records; about a millisecond of work, then others get the interpreter
_PAUSE_SECONDS: Final = 0.001
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)

Redact = Callable[[str, dict[str, Any]], "tuple[str, dict[str, Any]]"]
"""Takes a text and its attributes, returns both without what must not be kept."""


class Attic(Protocol):
    """Where the rings of calls that ended well are kept (see `export.attic`)."""

    def put(self, page: Mapping[str, Any]) -> bool:
        """Keep a call, in place of what was kept of it before."""

    def discard(self, call_sid: str) -> None:
        """The call has been given back after all."""

    def to_store(self, page: Mapping[str, Any], trigger: str) -> bool:
        """Write a call's records into the local store, and nowhere else."""


@dataclass(frozen=True)
class About:
    """What is known of a call apart from its records. Ids are 0 and `call_sid` is None where there is no name."""

    call_sid: str | None = None
    trace_id: int = 0
    span_id: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict)


def log_record(entry: Entry, about: About, trigger: str) -> LogRecord:
    """The OTel record that `entry` would have become, marked as recovered."""
    made_at, text, name, ids, (level, _reason), extras = entry
    attributes: dict[str, Any] = translate.named(about.attributes)
    if extras:
        attributes.update(translate.named(dict(extras)))
    event_name = None
    for key in translate.EVENT_NAME_KEYS:
        event_name = attributes.pop(key, None) or event_name
    attributes["logger.name"] = name
    if about.call_sid is not None:
        attributes["call_sid"] = about.call_sid
    attributes[translate.RECOVERED] = True
    attributes[translate.TRIGGER] = trigger
    trace_id, span_id = ids if ids[0] else (about.trace_id, about.span_id)
    made = LogRecord(
        timestamp=made_at,
        observed_timestamp=made_at,
        trace_id=trace_id,
        span_id=span_id,
        trace_flags=_SAMPLED if trace_id else None,
        severity_text=translate.severity_text(logging.getLevelName(level)),
        severity_number=translate.severity_number(level),
        body=clean_text(text),
        attributes=attributes,
    )
    if event_name is not None:
        made.event_name = str(event_name)
    setattr(made, VERDICT, KEPT)
    return made


def replay(
    pipeline: Pipeline, entries: Sequence[Entry], about: About, trigger: str, background: Background | None
) -> int:
    """Hand `entries` to the exporters in their order; returns how many. Pauses, so that nobody else waits for long."""
    done = 0
    for number, entry in enumerate(entries, 1):
        try:
            made = log_record(entry, about, trigger)
        except Exception as error:
            trouble.report("recorder", f"a remembered record could not be given back: {trouble.sentence(error)}")
            continue
        if pipeline.give_back(entry.name, made, entry.why[1]):
            done += 1
        if background is not None and not number % _PAUSE_EVERY and not background.hurry:
            time.sleep(_PAUSE_SECONDS)
    return done


def page(entries: Sequence[Entry], about: About, resource: Mapping[str, Any], redact: Redact | None) -> dict[str, Any]:
    """What `export.attic` keeps of a call: its records in plain values, redacted."""
    rows: list[list[Any]] = []
    bound = translate.named(about.attributes)
    if redact is not None:
        _, bound = redact("", bound)
    for made_at, text, name, ids, (level, _reason), extras in entries:
        attributes = translate.named(dict(extras)) if extras else {}
        body, shown = clean_text(text), name
        if redact is not None:
            body, attributes = redact(body, {**attributes, "logger.name": name})
            shown = attributes.pop("logger.name", name)
        trace_id, span_id = ids if ids[0] else (about.trace_id, about.span_id)
        rows.append(
            [
                made_at,
                translate.severity_number(level).value,
                translate.severity_text(logging.getLevelName(level)),
                shown,
                body,
                f"{trace_id:032x}" if trace_id else "",
                f"{span_id:016x}" if span_id else "",
                attributes or None,
            ]
        )
    return {"call_sid": about.call_sid, "attributes": bound, "resource": dict(resource), "records": rows}
