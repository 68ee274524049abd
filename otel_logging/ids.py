"""Call ids and trace ids: what is accepted as one, how one follows from the other, what a pasted text may be.

Standard library only; both the application side and the search side use it.
"""

from __future__ import annotations

from otel_logging.plain import plain

# Plain checks of characters where there could be patterns: compiling those would take longer than finding a call.
_HEX = frozenset("0123456789abcdefABCDEF")
_OF_IDS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@-")
_LONGEST = 128
# A WhatsApp address is a person, not a call: `972501234567@s.whatsapp.net`, `…@g.us`.
_JIDS = ("@s.whatsapp.net", "@g.us", "@c.us", "@lid", "@broadcast", "@newsletter")


def is_call_id(value: object) -> bool:
    """True if `value` may name a call: 1 to 128 of `A-Za-z0-9._:@-`, and not a WhatsApp jid."""
    return isinstance(value, str) and 0 < len(value) <= _LONGEST and _OF_IDS.issuperset(value) and not _is_jid(value)


def _is_jid(text: str) -> bool:
    return "@" in text and any(len(text) > len(end) and text.lower().endswith(end) for end in _JIDS)


def _is_hex(text: str, digits: int) -> bool:
    return len(text) == digits and _HEX.issuperset(text)


def _is_twilio(text: str) -> bool:
    return text.startswith("CA") and _is_hex(text[2:], 32)


def _trace_of_parent(text: str) -> str | None:
    """The trace id of a W3C traceparent, with whatever a later version of the standard puts behind it."""
    parts = text.split("-", 3)
    if len(parts) < 4 or "\n" in parts[3]:
        return None
    version, trace, span, flags = parts
    return trace.lower() if all(map(_is_hex, (version, trace, span, flags[:2]), (2, 32, 16, 2))) else None


def trace_id_for(call_sid: str) -> int:
    """The trace id of a call: a Twilio CallSid's own 32 hex digits, else the first 16 bytes of SHA-256 of the id."""
    if _is_twilio(call_sid):
        number = int(call_sid.removeprefix("CA"), 16)
        if number:
            return number
    import hashlib  # not needed for a CallSid, and a sixth of a bare Python's start

    return int.from_bytes(hashlib.sha256(call_sid.encode("utf-8", "backslashreplace")).digest()[:16], "big") or 1


def span_id_for(call_sid: str, salt: str = "") -> int:
    """A span id (8 bytes, never 0) that follows from a call id."""
    import hashlib

    digest = hashlib.sha256(f"{salt}\0{call_sid}".encode("utf-8", "backslashreplace")).digest()
    return int.from_bytes(digest[16:24], "big") or 1


@plain(frozen=True)
class Pasted:
    """What a pasted text may mean: a call id, a trace id (32 hex digits, lower case), or a prefix of either."""

    text: str
    call_sid: str | None = None
    trace_id: str | None = None
    prefix: bool = False


def parse_pasted(text: str) -> Pasted:
    """Recognise a CallSid, another call id, a trace id, a traceparent or a prefix, without being told which.

    A Twilio CallSid gives both, as its digits are the trace id. Anything else that may be a call id is taken as one,
    and as a prefix too.
    """
    text = text.strip().strip("'\"`,;()[]<>")
    if text.lower().startswith("call_sid="):
        text = text[len("call_sid=") :]
    if trace_id := _trace_of_parent(text):
        return Pasted(text, trace_id=trace_id)
    if _is_twilio(text):
        return Pasted(text, call_sid=text, trace_id=f"{trace_id_for(text):032x}")
    if _is_hex(text, 32):
        return Pasted(text, call_sid=text, trace_id=text.lower())
    if text.lower().startswith("0x") and _is_hex(text[2:], 32):
        return Pasted(text, trace_id=text[2:].lower())
    return Pasted(text, call_sid=text, trace_id=f"{trace_id_for(text):032x}" if is_call_id(text) else None, prefix=True)
