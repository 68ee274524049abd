"""A kept record as it was when it was logged, and what becomes of it when it is sent (see `late`).

For whoever looks at it, it is the SDK's record; whoever encodes it gets its wire bytes, by the rules of `ordinary`,
without any record having been made. What has anything special about it (a secret in its text, an attribute of its call)
is translated the long way first. Nothing is taken or queued in here.

Hot path of the exporting thread, hence the plain tables; `python -m benchmarks --only kept` measures it.
"""

from __future__ import annotations

import logging
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.sdk._logs import ReadWriteLogRecord
from opentelemetry.trace import TraceFlags

from otel_logging.bridge import attribute_limit, ordinary, translate
from otel_logging.bridge.values import MAX_TEXT
from otel_logging.export import wire
from otel_logging.export.entry import LateRecord, entry_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry._logs import LogRecord
    from opentelemetry.trace import SpanContext

    from otel_logging.bridge.pipeline import Pipeline
    from otel_logging.bridge.scope import CallScope
    from otel_logging.policy.engine import PolicySet

PLACE: Final = ("name", "levelno", "levelname", "pathname", "lineno", "funcName")
"""Fields of a stdlib record that all records of one line of code have in common."""

SHOWN: Final = frozenset({str, int})  # kinds of values in which a secret may stand
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_BLANK: Final = logging.LogRecord("", 0, "", 0, "", (), None).__dict__
_MOST_PLACES: Final = 4_096
_new: Final[Any] = object.__new__


class _Named(NamedTuple):
    """The call of a record that is translated now, as it was when the record was made."""

    call_sid: str
    trace_id: int
    span_id: int
    attributes: Mapping[str, Any]


class Taken(NamedTuple):
    """What a record was made of.

    Attributes:
        body: its message, rendered.
        place: as `PLACE` has it.
        created: seconds since 1970.
        names: of its extras.
        values: of its extras, scalars.
        sid: its call's id, None outside a call.
        call: that call.
        bound: what had been bound to the call.
        span: the span context it was made in.
        observed: when we saw it, in nanoseconds since 1970.
    """

    body: str
    place: tuple[Any, ...]
    created: Any
    names: Sequence[Any]
    values: Sequence[Any]
    sid: str | None
    call: CallScope | None
    bound: Mapping[str, Any]
    span: SpanContext
    observed: int


class Snapshot(LateRecord):
    """A record that is translated late.

    Attributes:
        taken: what it is made of.
        pipeline: whose rules are in force when it is translated.
        made: the OTel record, where it has been made.
        clean: the policies that were found to have nothing to redact in it, None where nobody has looked.
    """

    __slots__ = ("clean", "made", "pipeline", "shared", "taken")
    taken: Taken
    pipeline: Pipeline
    made: LogRecord | None
    clean: PolicySet | None

    # The class it comes from is frozen, and pays for that with each field. One of the two alone would not help.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__

    @property
    def log_record(self) -> LogRecord:
        """The OTel record, made the first time that somebody asks for it."""
        if self.made is None:
            self.made = Context().run(self._translated)  # whoever exports may have a span of its own
        return self.made

    def _translated(self) -> LogRecord:
        taken = self.taken
        record = _new(logging.LogRecord)
        fields = record.__dict__
        fields.update(_BLANK)
        fields.update(zip(PLACE, taken.place, strict=True))
        fields.update(msg=taken.body, created=taken.created)
        fields.update(zip(taken.names, taken.values, strict=True))
        call: Any = taken.call
        if call is not None and taken.sid is not None:
            call = _Named(taken.sid, call.trace_id, call.span_id, taken.bound)
        made = self.pipeline.translate(record, call)
        span = taken.span
        if span.trace_id:
            made.trace_id, made.span_id, made.trace_flags = span.trace_id, span.span_id, span.trace_flags
        made.observed_timestamp = taken.observed
        whole = ReadWriteLogRecord(made, **self.shared)
        attribute_limit.tell(made)
        return entry_of(whole).record.log_record

    def encoded(self) -> bytes | None:  # noqa: C901 (one pass, as in `ordinary`)
        """The record as an OTLP `LogRecord` message; None if it needs looking into."""
        body, place, created, names, values, sid, call, bound, span, observed = self.taken
        if bound or self.made is not None:
            return None
        policies = self.pipeline.policies
        found = known_place(place, policies)
        if found is None:
            return None
        text = body
        data = body.encode()
        size = len(data) + found.size
        out = [found.head, wire.body_head(len(data)), data]
        if names:
            for name, value in zip(names, values, strict=True):
                if name not in ordinary.extras and not ordinary.learn_extra(name):
                    return None
                head = ordinary.extras[name]
                if type(value) is str:
                    data = value.encode()
                    size += len(data)
                    out += (wire.text_heads[name][len(data)], data)
                else:
                    data = wire.scalar(value)
                    out += (wire.value_heads[name][len(data)], data)
                if head is not None and type(value) in SHOWN:
                    text += f"{head}{value}"
        most = self.pipeline.most_attributes
        if (
            size > MAX_TEXT
            or type(created) is not float
            or not 0 < created < translate.MOST_SECONDS
            or (most is not None and len(names) + len(ordinary.CODE) >= most)
            or "call_sid" in names
            or (self.clean is not policies and not policies.leaves(text))
        ):
            return None
        out.append(found.attributes)
        trace_id, span_id, flags = span.trace_id, span.span_id, span.trace_flags
        if sid is not None and call is not None:
            out.append(wire.pair("call_sid", sid))
            if not trace_id:
                trace_id, span_id, flags = call.trace_id, call.span_id, _SAMPLED
        return wire.framed(int(created * 1e9), observed, out, trace_id, span_id, flags)


class _Place(NamedTuple):
    """What all records of one line of code have in common, as bytes."""

    policies: PolicySet  # to which its name is no secret
    head: bytes
    attributes: bytes
    size: int  # of its texts, in characters


_places: Final[dict[Any, _Place]] = {}


def known_place(place: tuple[Any, ...], policies: PolicySet) -> _Place | None:
    """A line of code in which there is nothing special; None for any other."""
    found = _places.get(place)
    return found if found is not None and found.policies is policies else _learn(place, policies)


def _learn(place: tuple[Any, ...], policies: PolicySet) -> _Place | None:
    site = ordinary.site_of(place, policies)
    if site is None:
        return None
    head = wire.severity(site.severity.value, site.severity_text)
    attributes = b"".join([wire.pair(name, value) for name, value in site.attributes.items()])
    if len(_places) >= _MOST_PLACES:
        _places.clear()
    made = _places[place] = _Place(policies, head, attributes, site.size)
    return made
