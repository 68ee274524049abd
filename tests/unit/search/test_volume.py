"""Counting a store's lines: which lines are of one kind, and what a month makes of them."""

from __future__ import annotations

import pytest

from otel_logging.search.local import Searched
from otel_logging.search.record import Record
from otel_logging.search.volume import Amount, Volume, kind_of, loudest

SECOND = 10**9
A, B = "CA" + "a1" * 16, "CA" + "b2" * 16


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("frame=12, rms=0.5", "frame=*, rms=*"),
        ("took 812ms, retry in -3", "took *, retry in *"),
        ("job 7f3c2a9e-0b1d-4c5e-8f60-112233445566 done", "job * done"),
        (f"call {A} from +972501234567", "call * from *"),
        ('she said "9 o\'clock" twice', "she said * twice"),
        ("2024-01-21T19:30:26 up", "* up"),
        ("שלום 12", "שלום *"),
        ("no variable part", "no variable part"),
        ("first line 1\nsecond line", "first line *"),
        ("", ""),
    ],
)
def test_kinds(body, kind):
    """What differs from one line of a place to the next is a star; words stay."""
    assert kind_of(Record(body=body)) == kind


def test_a_long_kind_is_cut():
    """A kind is short enough for a table."""
    assert len(kind_of(Record(body="word " * 200))) == 120


@pytest.mark.parametrize("body", ['"' * 100_000, "1" * 100_000, "1," * 50_000, "a1-" * 40_000, "_" * 100_000])
def test_hostile_lines_are_read_in_no_time(body):
    """No line that somebody thought up keeps the command busy: only its beginning is looked at."""
    assert len(kind_of(Record(body=body))) <= 120


def counted(*records):
    volume = Volume(Searched())
    for record in records:
        volume.add(record)
    return volume


def test_sums_agree():
    """Each record is in the total once, and once in each table; calls and no call make the total."""
    volume = counted(
        Record(time=1, body="a", call_sid=A, service="x", severity=9),
        Record(time=2, body="b", call_sid=B, service="x", severity=17),
        Record(time=3, body="c", service="y", severity=9),
    )
    for table in (volume.services, volume.levels, volume.kinds, volume.days):
        assert sum(one.bytes for one in table.values()) == volume.total.bytes
        assert sum(one.lines for one in table.values()) == 3
    assert sum(one.bytes for one in volume.calls.values()) + volume.no_call.bytes == volume.total.bytes


def test_a_month_by_the_clock():
    """Two lines in ten seconds are 30 days' worth of that."""
    month = counted(Record(time=SECOND, body="a"), Record(time=11 * SECOND, body="a")).month()
    assert month["lines"] == 2 * 30 * 86_400 // 10


def test_a_month_by_calls():
    """Three lines in two calls, at ten calls a day, are 450 lines in 30 days; what is of no call is left out."""
    records = [Record(time=1, body="a", call_sid=sid) for sid in (A, A, B)]
    assert counted(*records, Record(time=1, body="noise")).month(10)["lines"] == 450
    assert counted(*records).month(0)["lines"] == 0


def test_percentiles():
    """Of 100 calls with 1 to 100 lines, half have up to 50, and 95 up to 95."""
    volume = Volume(Searched())
    volume.calls = {f"CA{n}": Amount(n, n * 10) for n in range(1, 101)}
    assert volume.per_call(volume.calls) == {"mean": 50.5, "median": 50, "p95": 95, "most": 100, "bytes": 505}


def test_no_time_no_first():
    """A record without a time is counted, and belongs to no day."""
    volume = counted(Record(body="a"))
    assert (volume.total.lines, volume.days, volume.month()) == (1, {}, None)


def test_loudest():
    """Most lines first, then most bytes, then by name."""
    table = {"a": Amount(1, 5), "b": Amount(2, 1), "c": Amount(1, 9), "d": Amount(1, 5)}
    assert [name for name, _ in loudest(table)] == ["b", "c", "a", "d"]
    assert [name for name, _ in loudest(table, 2)] == ["b", "c"]
