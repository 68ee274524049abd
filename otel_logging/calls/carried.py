"""What travels with a job from the process that enqueues it to the one that executes it: the call's id and attributes.

A small dictionary that any serializer can take. Where it is put, and when it is read, is each queue's business.
"""

from __future__ import annotations

from typing import Any, Final

from otel_logging.calls.call import Call, current_call, open_call

KEY: Final = "otel_logging"
JOB: Final = "job"  # the origin of calls opened here
_MAX_ATTRIBUTES: Final = 32
_MAX_LENGTH: Final = 256  # characters of an attribute's text: a job's metadata is no place for transcripts


def pack() -> dict[str, Any] | None:
    """What a job enqueued now should carry; None outside a call, or while the call has no name."""
    call = current_call()
    call_sid = call.call_sid if call is not None else None
    if call is None or call_sid is None:
        return None
    packed: dict[str, Any] = {"call_sid": call_sid}
    attributes = {key: value for key, value in call.attributes.items() if _travels(value)}
    if attributes:
        packed["attributes"] = dict(list(attributes.items())[:_MAX_ATTRIBUTES])
    return packed


def _travels(value: object) -> bool:
    return isinstance(value, (bool, int, float)) or (isinstance(value, str) and len(value) <= _MAX_LENGTH)


def call_sid_of(packed: object) -> str | None:
    """The id in what a job carries, None if it is not ours or broken."""
    call_sid = packed.get("call_sid") if isinstance(packed, dict) else None
    return call_sid if isinstance(call_sid, str) else None


def unpack(packed: object) -> Call | None:
    """Open the call that a job carries, to be put in force while it is executed and then left; None without one."""
    call_sid = call_sid_of(packed)
    if call_sid is None or not isinstance(packed, dict):
        return None
    call = open_call(origin=JOB, wait=False)
    attributes = packed.get("attributes")
    if isinstance(attributes, dict):
        known = {key: value for key, value in attributes.items() if isinstance(key, str) and _travels(value)}
        call.bind(**{key: value for key, value in known.items() if key not in {"self", "call_sid"}})
    if not call.name(call_sid, "a job"):
        call.leave("refused", grace=0.0)
        return None
    return call
