"""The call in W3C Baggage: finding `call_sid` in a `baggage` header, and putting it into one.

Pure text in, text out. Other members are never touched. Which requests carry a call is `outgoing`'s business, and an
id found here is judged by `Call.name` like any other.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from otel_logging import ids, trouble

HEADER = "baggage"
KEY = "call_sid"
MAX_BYTES = 8192  # of a whole header, as W3C says
MAX_MEMBERS = 180


def parse(header: str | None) -> str | None:
    """The call id that a `baggage` header carries; None without one, or if it is no valid call id.

    What is beyond 8192 bytes or 180 members is not looked at.
    """
    for member in _members(header):
        key, _, rest = member.partition("=")
        if key.strip() == KEY:
            found = unquote(rest.partition(";")[0].strip())
            if ids.is_call_id(found):
                return found
            trouble.count("call_id_rejected")
    return None


def merge(header: str | None, call_sid: str) -> str | None:
    """`header` with the call in it: other members stay as they are, an older `call_sid` is replaced.

    None if it cannot be: the id is none, or the header would be longer than W3C allows.
    """
    if not ids.is_call_id(call_sid):
        return None
    member = f"{KEY}={quote(call_sid, safe=':@')}"
    if not header or not header.strip():
        return member
    kept = [part for part in header.split(",") if part.strip() and not _is_ours(part)]
    merged = ",".join([*kept, member])
    if len(kept) + 1 > MAX_MEMBERS or len(merged.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return None
    return merged


def _is_ours(member: str) -> bool:
    return member.partition("=")[0].strip() == KEY


def _members(header: str | None) -> list[str]:
    if not header:
        return []
    members = header[: MAX_BYTES + 1].split(",", MAX_MEMBERS)
    if len(header) > MAX_BYTES or len(members) > MAX_MEMBERS:
        members.pop()  # cut in the middle, or beyond the limit
    return members
