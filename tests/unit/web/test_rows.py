"""What the page lists: records, spans, gaps, in time order, and why frames came back."""

from __future__ import annotations

from otel_logging.search.one_call import find_call
from otel_logging.web.rows import SHOWN, gap_rows, rows_of

CALL = "CA" + "a1" * 16


class TestRows:
    def test_order(self, view):
        """Spans stand before the records they began with, gaps between the records they are between."""
        assert [row.kind for row in rows_of(view)] == [
            "record", "span", "record", "record", "gap", "record", "record", "gap", "record",
        ]  # fmt: skip

    def test_recovered_says_why(self, view):
        """A recovered frame names its trigger, and when and where the error was."""
        (row,) = [row for row in rows_of(view) if "rec" in row.classes.split()]
        assert row.details["because"] == "recovered because an ERROR was logged at +00:06.000 in media"

    def test_because_of_a_later_error_of_another_service(self, store):
        """Where the own service has no error after the frame, the first of any service is named."""
        frame = {"otel_logging__recovered": True, "otel_logging__trigger": "error"}
        store.log(
            "a", store.record("frame", at=1, call=CALL, **frame), store.record("early", at=0, call=CALL, severity=17)
        )
        store.log("b", store.record("broke", at=2, call=CALL, severity=21), service="worker")
        rows = rows_of(find_call(store.root, CALL))
        assert next(row for row in rows if row.text == "frame").details["because"].endswith("+00:02.000 in worker")

    def test_keys_last(self, store):
        """A record's key is the same when the page is made again, and equal records have different ones."""
        store.log(
            "a", store.record("twice", call=CALL), store.record("twice", call=CALL), store.record("x", at=1, call=CALL)
        )
        first = [row.key for row in rows_of(find_call(store.root, CALL))]
        store.log("b", store.record("late, but earlier", at=0.5, call=CALL))
        again = [row.key for row in rows_of(find_call(store.root, CALL))]
        assert len(set(first)) == 3
        assert set(first) < set(again)

    def test_long_message(self, store):
        """A megabyte is cut in the row, said to be cut, and whole in the details."""
        body = "x" * 1_000_000
        store.log("a", store.record(body, call=CALL))
        (row,) = rows_of(find_call(store.root, CALL))
        assert (len(row.text), row.cut, row.details["body"]) == (SHOWN, 1_000_000 - SHOWN, body)

    def test_controls_are_shown(self, store):
        """Bidi controls and escapes stand there as text, everywhere; Hebrew stays."""
        evil = "שלום \u202eevil\u202c \x1b[31m"
        store.log(
            "a\n", store.record(evil, call=CALL, **{evil: evil}, exception__stacktrace=evil), service=evil, scope=evil
        )
        (row,) = rows_of(find_call(store.root, CALL))
        shown = repr((row.text, row.service, row.logger, row.beside, row.last_line, row.details))
        assert "שלום" in row.text
        assert not {"\u202e", "\x1b"} & set(row.text + row.service + row.logger + row.last_line)
        assert "\\u202e" not in shown.replace("\\\\u202e", "")  # escaped text only, never the control itself


class TestGaps:
    def test_silence_and_dead_air(self, view):
        """3 seconds without a record are a gap, 10 are dead air; both say how long."""
        silence, dead = gap_rows(view)
        assert (silence.text, silence.classes) == ("no record from any service for 5.0s", "")
        assert (dead.text, dead.classes) == ("no record from any service for 23.0s", "dead")

    def test_none(self, store):
        """Records that follow each other closer have no gap."""
        store.log("a", *(store.record("x", at=at, call=CALL) for at in (0, 2.9, 5.8)))
        assert gap_rows(find_call(store.root, CALL)) == []
