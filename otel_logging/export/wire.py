"""OTLP log requests written as wire bytes, without a protobuf object per record and attribute.

Decoded, the bytes are what the official encoder's are, for every record: one in which there is anything that this
module does not know for certain (subclasses, numbers out of range, text that is no UTF-8, values of foreign types) is
encoded by the official encoder, whose errors and log lines are then the errors and log lines of this one. Resources and
scopes are always encoded by it, once. Only encoding belongs here; no queue, no request, no answer.

This is the hottest part of the exporting thread, which shares the interpreter with an audio loop: hence tables instead
of functions, remembered heads of keys, and pauses within a batch. `python -m benchmarks --only kept` measures it.
Field numbers and types: opentelemetry-proto 1.x, `logs.proto` and `common.proto`; tags, varints and lengths: the
Protocol Buffers encoding guide.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes

from otel_logging.export.entry import LateRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord

# Records after which the exporting thread lets others have the interpreter, and for how many seconds: a thread that
# waits for it asks only every 5 ms, which is longer than a batch takes and a quarter of an audio frame.
_STRETCH: Final = 128
_PAUSE: Final = 0.000_05

# Texts shorter than this, in bytes, have their heads remembered; a recurring pair is remembered as a whole.
_SHORT: Final = 192
_RECURRING: Final = frozenset({"call_sid", "logger.name", "code.file.path", "code.function.name", "code.line.number"})
# So many are remembered; beyond, all are forgotten and learned anew, so that nothing made of call data piles up.
_MOST_KEYS: Final = 1_000
_MOST_PAIRS: Final = 4_000
_MOST_OWNERS: Final = 500
_DEEPEST: Final = 20  # values in values; beyond, the official encoder decides what is too deep

_times: Final = struct.Struct("<BQBQ").pack  # two tags, two fixed64
_double: Final = struct.Struct("<d").pack
_TIME: Final = 0x09  # field 1, fixed64
_OBSERVED: Final = 0x59  # field 11, fixed64


class _UnknownShapeError(Exception):
    """Something that only the official encoder can say how to encode."""


def _varint(number: int) -> bytes:
    """`number`, not negative: seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_VARINTS: Final = tuple(map(_varint, range(16_384)))


def _sized(tag: bytes, payload: bytes) -> bytes:
    """A field of bytes, text or a message."""
    size = len(payload)
    return tag + (_VARINTS[size] if size < len(_VARINTS) else _varint(size)) + payload


_SEVERITIES: Final = tuple(b"\x10" + _varint(number) if number else b"" for number in range(25))
_FLAGS: Final = tuple(b"\x45" + struct.pack("<I", flags) if flags else b"" for flags in range(256))


class _Heads(dict[int, bytes]):
    """For one key: what stands in a record before a value of so many bytes, from the attribute's tag on."""

    def __init__(self, key: str, kind: bytes) -> None:
        super().__init__()
        if type(key) is not str:
            raise _UnknownShapeError
        self._key = _sized(b"\x0a", key.encode())
        self._kind = kind  # the value's own tag, where its length stands behind it

    def __missing__(self, size: int) -> bytes:
        value = self._kind + _varint(size) if self._kind else b""
        value = b"\x12" + _varint(len(value) + size) + value
        head = b"\x32" + _varint(len(self._key) + len(value) + size) + self._key + value
        if size < _SHORT:
            self[size] = head
        return head


class _KeyHeads(dict[str, _Heads]):
    """The heads of each key met, for values whose tag is `kind`; without it, for whole `AnyValue` messages."""

    def __init__(self, kind: bytes) -> None:
        super().__init__()
        self._kind = kind

    def __missing__(self, key: str) -> _Heads:
        if len(self) >= _MOST_KEYS:
            self.clear()
        heads = self[key] = _Heads(key, self._kind)
        return heads


class _Owner:
    """A Resource or scope as bytes. Equal ones, as the official encoder finds them equal, have one and the same."""

    __slots__ = ("encoded", "tail")

    def __init__(self, encoded: bytes, url: str) -> None:
        self.encoded = _sized(b"\x0a", encoded)
        self.tail = _sized(b"\x1a", url.encode()) if url else b""  # stands behind the records


class _Owners(dict[int, _Owner]):
    """Known Resources or scopes by their identity: hashing a Resource costs more than encoding a record."""

    def __init__(self) -> None:
        super().__init__()
        self._equal: dict[Any, _Owner] = {}
        self._held: list[Any] = []  # while an object is held, no other has its identity

    def bound(self) -> None:
        """Forget all if they are too many: between batches, as within one equal ones have to stay one."""
        if len(self) > _MOST_OWNERS:
            with _learning:
                self.clear()
                self._equal.clear()
                self._held.clear()

    def learn(self, held: Any, encoded: bytes, url: str) -> _Owner:
        with _learning:
            self._held.append(held)
            owner = self._equal.get(held)
            if owner is None:
                owner = self._equal[held] = _Owner(encoded, url)
            self[id(held)] = owner
            return owner


_learning = threading.RLock()  # re-entrant: a signal handler may log, and flush, in the middle of it
text_heads: Final = _KeyHeads(b"\x0a")
value_heads: Final = _KeyHeads(b"")
_pairs: Final[dict[tuple[str, Any], bytes]] = {}
_resources: Final = _Owners()
_scopes: Final = _Owners()


def _after_fork() -> None:
    global _learning
    _learning = threading.RLock()  # whoever held it is not there any more


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def encode(batch: Sequence[ReadableLogRecord]) -> bytes:
    """An `ExportLogsServiceRequest` of the records, grouped by Resource and scope as the official encoder groups them.

    Raises:
        Exception: one of them cannot be encoded: what the official encoder raises for it.
    """
    _resources.bound()
    _scopes.bound()
    groups: dict[_Owner, dict[_Owner, list[bytes]]] = {}
    left = _STRETCH
    for record in batch:
        given: Any = record.shared if isinstance(record, LateRecord) else record.__dict__
        resource, scope = _resources.get(id(given["resource"])), _scopes.get(id(given["instrumentation_scope"]))
        if resource is None or scope is None:
            resource, scope = _learn(record)
        try:
            late = record.encoded() if isinstance(record, LateRecord) else None
            encoded = late if late is not None else _record(record)
        except Exception:
            encoded = _upstream(record).scope_logs[0].log_records[0].SerializeToString()
        scopes = groups.get(resource)
        if scopes is None:
            scopes = groups[resource] = {}
        records = scopes.get(scope)
        if records is None:
            records = scopes[scope] = []
        records.append(_sized(b"\x12", encoded))
        left -= 1
        if not left:
            left = _STRETCH
            time.sleep(_PAUSE)
    return b"".join([_sized(b"\x0a", _resource_logs(resource, scopes)) for resource, scopes in groups.items()])


def _resource_logs(resource: _Owner, scopes: Mapping[_Owner, list[bytes]]) -> bytes:
    logs = [_sized(b"\x12", b"".join((scope.encoded, *records, scope.tail))) for scope, records in scopes.items()]
    return b"".join((resource.encoded, *logs, resource.tail))


def _upstream(record: ReadableLogRecord) -> Any:
    """The official `ResourceLogs` of one record."""
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs

    return encode_logs([record]).resource_logs[0]


def _learn(record: ReadableLogRecord) -> tuple[_Owner, _Owner]:
    """Have the record's Resource and scope encoded, and remember them.

    They do not change: the SDK freezes a Resource, and a scope is a value.
    """
    made = _upstream(record)
    scope = made.scope_logs[0]
    return (
        _resources.learn(record.resource, made.resource.SerializeToString(), made.schema_url),
        _scopes.learn(record.instrumentation_scope, scope.scope.SerializeToString(), scope.schema_url),
    )


def _record(readable: ReadableLogRecord) -> bytes:
    """A `LogRecord` message, its fields in the order of their numbers.

    Raises:
        Exception: there is something in it that only the official encoder knows how to encode.
    """
    record = readable.log_record
    time_nanos, observed = record.timestamp, record.observed_timestamp
    severity: Any = record.severity_number
    text = record.severity_text
    out = [
        _SEVERITIES[severity.value] if severity is not None else b"",
        b"\x1a" + _VARINTS[len(text)] + text.encode("ascii") if text else b"",
    ]
    body = record.body
    if type(body) is str:
        data = body.encode()
        size = len(data)
        value = b"\x0a" + (_VARINTS[size] if size < 16_384 else _varint(size))
        inner = size + len(value)
        out += (b"\x2a", _VARINTS[inner] if inner < 16_384 else _varint(inner), value, data)
    else:
        out.append(_sized(b"\x2a", _value(body, 0)))
    attributes: Any = record.attributes
    if attributes is not None:
        if type(attributes) is BoundedAttributes:
            dropped = attributes.dropped
            attributes = attributes.copy()  # takes its lock once, not for each
        else:
            dropped = readable.dropped_attributes
        _attributes(attributes, out)
        if dropped:
            out += (b"\x38", _varint(dropped) if 0 < dropped < 1 << 32 else _unknown())
    out.append(_FLAGS[int(record.trace_flags)] if record.trace_flags is not None else _unknown())
    trace_id, span_id = record.trace_id, record.span_id
    if trace_id:
        out += (b"\x4a\x10", trace_id.to_bytes(16, "big"))
    if span_id:
        out += (b"\x52\x08", span_id.to_bytes(8, "big"))
    if type(time_nanos) is not int or type(observed) is not int or not time_nanos or not observed:
        raise _UnknownShapeError
    times = _times(_TIME, time_nanos, _OBSERVED, observed)
    event = record.event_name
    return b"".join((times[:9], *out, times[9:], _sized(b"\x62", event.encode()) if event else b""))


# -- the pieces of a record, for `bridge.late` -------------------------------------------------------------------------


def severity(number: int, text: str) -> bytes:
    """The fields of a severity; `text` is ASCII."""
    return _SEVERITIES[number] + (_sized(b"\x1a", text.encode("ascii")) if text else b"")


def body_head(size: int) -> bytes:
    """What stands before a body of `size` bytes."""
    value = b"\x0a" + (_VARINTS[size] if size < len(_VARINTS) else _varint(size))
    inner = size + len(value)
    return b"\x2a" + (_VARINTS[inner] if inner < len(_VARINTS) else _varint(inner)) + value


def pair(key: str, value: str | int) -> bytes:
    """An attribute that recurs; it is remembered if it is short."""
    found = _pairs.get((key, value))
    if found is None:
        encoded = _value(value, 0)
        found = value_heads[key][len(encoded)] + encoded
        # One call's long texts are not kept.
        if len(found) < _SHORT:
            if len(_pairs) >= _MOST_PAIRS:
                _pairs.clear()
            _pairs[key, value] = found
    return found


def scalar(value: float | None) -> bytes:
    """An `AnyValue` message of a number, a bool or nothing. May raise."""
    return _ENCODERS[type(value)](value, 0)


def framed(time_nanos: int, observed: int, fields: list[bytes], trace_id: int, span_id: int, flags: int) -> bytes:
    """A `LogRecord` message of `fields` up to its attributes."""
    times = _times(_TIME, time_nanos, _OBSERVED, observed)
    fields.append(_FLAGS[flags])
    if trace_id:
        fields += (b"\x4a\x10", trace_id.to_bytes(16, "big"))
    if span_id:
        fields += (b"\x52\x08", span_id.to_bytes(8, "big"))
    return b"".join((times[:9], *fields, times[9:]))


def _unknown() -> bytes:
    raise _UnknownShapeError


def _attributes(attributes: Mapping[Any, Any], out: list[bytes]) -> None:
    """Append each attribute as a field of the record."""
    for key, value in attributes.items():
        kind = type(value)
        if key in _RECURRING and (kind is str or kind is int):
            out.append(_pairs.get((key, value)) or pair(key, value))
        elif kind is str:
            data = value.encode()
            out += (text_heads[key][len(data)], data)
        else:
            encoded = _value(value, 0)
            out += (value_heads[key][len(encoded)], encoded)


def _value(value: Any, depth: int) -> bytes:
    """An `AnyValue` message; `depth`: in how many others it lies."""
    encoder = _ENCODERS.get(type(value))
    if encoder is None or depth > _DEEPEST:
        raise _UnknownShapeError
    return encoder(value, depth)


def _of_text(value: str, _depth: int) -> bytes:
    return _sized(b"\x0a", value.encode())


def _of_bool(value: bool, _depth: int) -> bytes:
    return b"\x10\x01" if value else b"\x10\x00"


def _of_int(value: int, _depth: int) -> bytes:
    if 0 <= value < len(_VARINTS):
        return b"\x18" + _VARINTS[value]
    if not -(1 << 63) <= value < 1 << 63:
        raise _UnknownShapeError
    return b"\x18" + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)


def _of_float(value: float, _depth: int) -> bytes:
    return b"\x21" + _double(value)


def _of_none(_value: None, _depth: int) -> bytes:
    return b""


def _of_list(value: Sequence[Any], depth: int) -> bytes:
    return _sized(b"\x2a", b"".join([_sized(b"\x0a", _value(one, depth + 1)) for one in value]))


def _of_dict(value: Mapping[Any, Any], depth: int) -> bytes:
    pairs = []
    for key, one in value.items():
        if type(key) is not str:
            raise _UnknownShapeError
        pairs.append(_sized(b"\x0a", _sized(b"\x0a", key.encode()) + _sized(b"\x12", _value(one, depth + 1))))
    return _sized(b"\x32", b"".join(pairs))


def _of_bytes(value: bytes, _depth: int) -> bytes:
    return _sized(b"\x3a", value)


# By exact type: a subclass may say anything of itself.
_ENCODERS: Final[dict[type, Callable[[Any, int], bytes]]] = {
    str: _of_text,
    bool: _of_bool,
    int: _of_int,
    float: _of_float,
    type(None): _of_none,
    list: _of_list,
    tuple: _of_list,
    dict: _of_dict,
    bytes: _of_bytes,
}
