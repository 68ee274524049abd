"""Call ids and trace ids: what is accepted as one, how one follows from the other, what a pasted text may be.

Standard library only; both the application side and the search side use it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CALL_ID = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
_TWILIO = re.compile(r"CA[0-9a-fA-F]{32}")
_HEX32 = re.compile(r"[0-9a-fA-F]{32}")
_TRACEPARENT = re.compile(r"[0-9a-fA-F]{2}-([0-9a-fA-F]{32})-[0-9a-fA-F]{16}-[0-9a-fA-F]{2}.*")
# A WhatsApp address is a person, not a call: `972501234567@s.whatsapp.net`, `…@g.us`.
_JID = re.compile(r".+@(s\.whatsapp\.net|g\.us|c\.us|lid|broadcast|newsletter)", re.IGNORECASE)


def is_call_id(value: object) -> bool:
    """True if `value` may name a call: 1 to 128 of `A-Za-z0-9._:@-`, and not a WhatsApp jid."""
    return isinstance(value, str) and _CALL_ID.fullmatch(value) is not None and _JID.fullmatch(value) is None


def trace_id_for(call_sid: str) -> int:
    """The trace id of a call: a Twilio CallSid's own 32 hex digits, else the first 16 bytes of SHA-256 of the id."""
    if _TWILIO.fullmatch(call_sid):
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


@dataclass(frozen=True)
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
    if found := _TRACEPARENT.fullmatch(text):
        return Pasted(text, trace_id=found[1].lower())
    if _TWILIO.fullmatch(text):
        return Pasted(text, call_sid=text, trace_id=f"{trace_id_for(text):032x}")
    if _HEX32.fullmatch(text):
        return Pasted(text, call_sid=text, trace_id=text.lower())
    if text.lower().startswith("0x") and _HEX32.fullmatch(text[2:]):
        return Pasted(text, trace_id=text[2:].lower())
    return Pasted(text, call_sid=text, trace_id=f"{trace_id_for(text):032x}" if is_call_id(text) else None, prefix=True)
