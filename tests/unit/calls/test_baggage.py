from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logging.calls.baggage import MAX_BYTES, MAX_MEMBERS, merge, parse

TWILIO = "CA" + "0123456789abcdef" * 2
OTHER = "CA" + "fedcba9876543210" * 2


class TestParse:
    @pytest.mark.parametrize(
        ("header", "found"),
        [
            (f"call_sid={TWILIO}", TWILIO),
            (f"a=1, call_sid = {TWILIO} ;ttl=3 , b=2", TWILIO),
            ("call_sid=conf%3A12%40x", "conf:12@x"),
            (f"my_call_sid=no,call_sid={TWILIO}", TWILIO),
            (f"call_sid=no%20id,call_sid={TWILIO}", TWILIO),
            ("a=1", None),
            ("call_sid=", None),
            ("call_sid", None),
            ("CALL_SID=x", None),
            ("call_sid=a%0Ab", None),
            ("call_sid=" + "x" * 129, None),
            ("call_sid=97250%40s.whatsapp.net", None),
            (",,,;;==", None),
            ("", None),
            (None, None),
        ],
    )
    def test_finds_only_valid_ids(self, header, found):
        """The member `call_sid` is found, decoded and judged; nothing else is taken for it."""
        assert parse(header) == found

    def test_looks_no_further_than_the_limits(self):
        """A header of megabytes costs nothing, and what is beyond W3C's limits is not read."""
        assert parse("a=" + "x" * MAX_BYTES + f",call_sid={TWILIO}") is None
        assert parse(",".join(["a=1"] * MAX_MEMBERS) + f",call_sid={TWILIO}") is None
        assert parse(",".join(["a=1"] * (MAX_MEMBERS - 1)) + f",call_sid={TWILIO}") == TWILIO

    def test_id_cut_at_the_limit_is_not_taken(self):
        """An id that the limit cuts in two is no id."""
        head = "a=" + "x" * (MAX_BYTES - 20) + ","
        assert parse(head + f"call_sid={TWILIO}") is None

    @given(st.text(max_size=200))
    def test_never_raises(self, header):
        """Whatever a stranger sends, the answer is an id or None."""
        assert parse(header) is None or isinstance(parse(header), str)


class TestMerge:
    def test_alone(self):
        """Without a header the call is the header."""
        assert merge(None, TWILIO) == f"call_sid={TWILIO}"
        assert merge("  ", TWILIO) == f"call_sid={TWILIO}"

    def test_others_stay_as_they_are(self):
        """Members, properties, odd spacing and encodings of others are passed on byte for byte."""
        assert merge("a=1;p=2, b=%20x", TWILIO) == f"a=1;p=2, b=%20x,call_sid={TWILIO}"

    def test_older_call_is_replaced(self):
        """The call in force wins over one that came in, and stands there once."""
        assert merge(f"a=1,call_sid={OTHER};p=1,b=2", TWILIO) == f"a=1,b=2,call_sid={TWILIO}"

    def test_no_room(self):
        """A header that is full stays as it is."""
        assert merge("a=" + "x" * (MAX_BYTES - 10), TWILIO) is None
        assert merge(",".join(["a=1"] * MAX_MEMBERS), TWILIO) is None

    def test_no_id(self):
        """What is no call id goes into no header."""
        assert merge(None, "a\r\nX-Evil: 1") is None

    @given(st.from_regex(r"\A[A-Za-z0-9._:@-]{1,128}\Z"), st.text(st.characters(codec="ascii"), max_size=100))
    def test_round_trip(self, call_sid, header):
        """What is put into a header is found in it."""
        merged = merge(header.replace("call_sid", ""), call_sid)
        assert merged is None or parse(merged) == call_sid
