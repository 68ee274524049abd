"""Call ids and trace ids: what is accepted, what follows from what, what a pasted text means."""

from __future__ import annotations

import hashlib
import re

import pytest

from otel_logging import ids

SID = "CA0123456789abcdef0123456789ABCDEF"


class TestIsCallId:
    @pytest.mark.parametrize(
        "text", ["a", SID, "job:42", "user@host.example", "a.b_c-d:e@f", "x" * 128, "972501234567@example.com"]
    )
    def test_accepts(self, text):
        """Letters, digits and `._:@-`, 1 to 128 of them, name a call."""
        assert ids.is_call_id(text)

    @pytest.mark.parametrize(
        "value",
        [
            "", "x" * 129, "x" * 10_240, "a b", "a\n", "a\x00", "\x1b[31m", "a/b", "a,b", "a=b", "שלום", "é", "١٢٣", None, 7,
            b"CA1", ["CA1"],
        ],
    )  # fmt: skip
    def test_refuses_what_the_outside_may_send(self, value):
        """Control characters, separators, other scripts, other types and overlong texts are no call ids."""
        assert not ids.is_call_id(value)

    @pytest.mark.parametrize(
        "jid", ["972501234567@s.whatsapp.net", "1-2@g.us", "9725@c.us", "1@LID", "status@broadcast"]
    )
    def test_a_whatsapp_address_is_a_person(self, jid):
        """A WhatsApp jid is never taken for a call id, in any case of letters."""
        assert not ids.is_call_id(jid)


class TestTraceId:
    def test_a_twilio_sid_is_its_trace_id(self):
        """The 32 hex digits of a CallSid are the trace id."""
        assert ids.trace_id_for(SID) == 0x0123456789ABCDEF0123456789ABCDEF

    @pytest.mark.parametrize("sid", ["job-7", "CA12", "CA" + "g" * 32, "CA" + "0" * 33, "ca" + "1" * 32])
    def test_any_other_id_is_hashed(self, sid):
        """Any other id gives the first 16 bytes of its SHA-256."""
        assert ids.trace_id_for(sid) == int.from_bytes(hashlib.sha256(sid.encode()).digest()[:16], "big")

    def test_a_sid_of_zeros_still_gives_a_valid_trace_id(self):
        """Zero is no trace id in OTel, so a CallSid of zeros is hashed like any other id."""
        sid = "CA" + "0" * 32
        assert ids.trace_id_for(sid) == int.from_bytes(hashlib.sha256(sid.encode()).digest()[:16], "big") != 0

    def test_span_ids_follow_from_the_call_and_the_salt(self):
        """Span ids fit 8 bytes, are never 0, repeat for the same input and differ by salt and call."""
        made = {ids.span_id_for(sid, salt) for sid in ("a", "b") for salt in ("", "1")}
        assert len(made) == 4
        assert all(0 < one < 1 << 64 for one in made)
        assert ids.span_id_for("a", "1") == ids.span_id_for("a", "1")


class TestParsePasted:
    def test_a_call_sid_gives_both(self):
        """A CallSid is looked for by id and by trace."""
        found = ids.parse_pasted(SID)
        assert (found.call_sid, found.trace_id, found.prefix) == (SID, SID[2:].lower(), False)

    @pytest.mark.parametrize(
        "around", ["  {}\n", "'{}'", '"{}"', "({})", "{},", "`{}`", "<{}>", "call_sid={}", "CALL_SID={}"]
    )
    def test_what_surrounds_an_id_in_a_log_line_is_stripped(self, around):
        """Quotes, brackets, commas and `call_sid=` around an id do not matter."""
        assert ids.parse_pasted(around.format(SID)).call_sid == SID

    def test_a_traceparent_gives_its_trace(self):
        """The trace id of a traceparent header is taken, in lower case."""
        found = ids.parse_pasted("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01")
        assert (found.call_sid, found.trace_id, found.prefix) == (None, "0af7651916cd43dd8448eb211c80319c", False)

    def test_32_hex_digits_are_a_trace_id_or_a_call_id(self):
        """32 hex digits may be either, so both are tried."""
        found = ids.parse_pasted("0AF7651916CD43DD8448EB211C80319C")
        assert (found.call_sid, found.trace_id) == (
            "0AF7651916CD43DD8448EB211C80319C",
            "0af7651916cd43dd8448eb211c80319c",
        )

    def test_0x_before_a_trace_id(self):
        """`0x` and 32 hex digits are a trace id, as the SDK prints it."""
        found = ids.parse_pasted("0x0AF7651916CD43DD8448EB211C80319C")
        assert (found.call_sid, found.trace_id) == (None, "0af7651916cd43dd8448eb211c80319c")

    def test_anything_else_is_an_id_and_a_prefix(self):
        """A short text is tried as a whole id and as a prefix."""
        found = ids.parse_pasted("CA0123")
        assert (found.call_sid, found.prefix) == ("CA0123", True)
        assert found.trace_id == f"{ids.trace_id_for('CA0123'):032x}"

    def test_a_text_that_is_no_id(self):
        """A text that cannot be a call id has no trace."""
        assert ids.parse_pasted("no id at all").trace_id is None


_PATTERNS = {
    "call": re.compile(r"[A-Za-z0-9._:@-]{1,128}"),
    "jid": re.compile(r".+@(s\.whatsapp\.net|g\.us|c\.us|lid|broadcast|newsletter)", re.IGNORECASE),
    "parent": re.compile(r"[0-9a-fA-F]{2}-([0-9a-fA-F]{32})-[0-9a-fA-F]{16}-[0-9a-fA-F]{2}.*"),
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a" * 128,
        "a" * 129,
        "a b",
        "ש",
        "1@lid",
        "@lid",
        "x@@lid",
        "1@LID",
        "a@lid.x",
        "a@c.us",
        "@c.us",
        "a@xc.us",
        "\u0130@lid",
    ],
)
def test_is_call_id_as_a_pattern_says(text):
    """What may name a call, in other words."""
    assert ids.is_call_id(text) == bool(_PATTERNS["call"].fullmatch(text) and not _PATTERNS["jid"].fullmatch(text))


@pytest.mark.parametrize("end", ["01", "0", "zz", "01-more", "01 more", "0a\nx", ""])
@pytest.mark.parametrize(
    "start", ["00-" + "Ab" * 16 + "-" + "1" * 16, "0-" + "ab" * 16 + "-" + "1" * 16, "00-" + "ab" * 15 + "-" + "1" * 16]
)
def test_traceparent_as_a_pattern_says(start, end):
    """What is a traceparent, in other words."""
    found = _PATTERNS["parent"].fullmatch(f"{start}-{end}".strip())
    made = ids.parse_pasted(f"{start}-{end}")
    assert (made.trace_id if not made.prefix else None) == (found[1].lower() if found else None)
