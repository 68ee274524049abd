"""Reading on in a store: whole new lines, each once, from a place that survives a reader."""

from __future__ import annotations

import pytest

from otel_logging.search.tail import Tail

CALL = "CA" + "a1" * 16


def bodies(news):
    return [record.body for record in news.records]


def test_only_what_is_new(store):
    """What stood there before is not read again; what comes is read once, logs and spans, also of new files."""
    store.log("a", store.record("old", call=CALL))
    tail = Tail(store.root)
    assert bodies(tail.read()) == []
    store.log("a", store.record("new", call=CALL))
    store.log("b", store.record("of another process", call=CALL))
    store.trace("a", store.span("call", trace="a1" * 16, span="1" * 16, call=CALL))
    news = tail.read()
    assert bodies(news) == ["new", "of another process"]
    assert [span.name for span in news.spans] == ["call"]
    assert not news.lost
    assert bodies(tail.read()) == []


def test_torn_lines(store):
    """A line that is being written is left until it is whole, also one that was torn when reading began."""
    store.log("a", store.record("torn", call=CALL), end="")
    tail = Tail(store.root)
    assert bodies(tail.read()) == []
    store.raw("logs", "a", "\n")
    assert bodies(tail.read()) == ["torn"]


def test_goes_on_from_a_place(store):
    """A reader that was cut off goes on where it was: nothing is missed, nothing comes twice."""
    store.log("a", store.record("1", call=CALL))
    place = Tail(store.root).place()
    assert place.isascii()
    assert " " not in place
    store.log("a", store.record("2", call=CALL))
    store.log("b", store.record("3", call=CALL))
    assert bodies(Tail(store.root, place).read()) == ["2", "3"]


def test_a_file_that_went_is_noticed(store):
    """A file that was packed away, or cut, is said to be lost."""
    for name in ("a", "b"):
        store.log(name, store.record("1", call=CALL), store.record("2", call=CALL))
    tail = Tail(store.root)
    (store.root / "logs" / "a.jsonl").unlink()
    assert tail.read().lost
    assert not tail.read().lost
    (store.root / "logs" / "b.jsonl").write_text("")
    assert tail.read().lost


def test_only_wanted_lines_are_parsed(store):
    """Lines without what is wanted are passed over, broken ones too."""
    tail = Tail(store.root)
    store.log("a", store.record("mine", call=CALL))
    store.log("a", store.record("another's", call="CA" + "b2" * 16))
    store.raw("logs", "a", '{"broken" \n\n[1]\n')
    assert bodies(tail.read([CALL.lower().encode()])) == ["mine"]


def test_more_than_one_piece(store, monkeypatch):
    """A file that grew by more than is read at once is read in several goes; an endless line is not waited for."""
    tail = Tail(store.root)
    for number in range(10):
        store.log("a", store.record(str(number), call=CALL))
    size = (store.root / "logs" / "a.jsonl").stat().st_size
    monkeypatch.setattr("otel_logging.search.tail._AT_ONCE", size // 3)
    found = [body for _ in range(5) for body in bodies(tail.read())]
    assert found == [str(number) for number in range(10)]
    store.raw("logs", "a", "x" * size)
    assert tail.read().lost


@pytest.mark.parametrize(
    "place", ["x", "../../etc/passwd.0", "12345678", "12345678.", "12345678.zz", "1234567é.1", "12345678." + "1" * 17]
)
def test_no_place(place):
    """What is no place is refused: it comes from a request."""
    with pytest.raises(ValueError):
        Tail("nowhere", place)


def test_links_are_not_followed(store, tmp_path):
    """A link in the store shows nothing of what it leads to."""
    store.log("a", store.record("1", call=CALL))
    tail = Tail(store.root)
    other = tmp_path / "other.jsonl"
    other.write_bytes((store.root / "logs" / "a.jsonl").read_bytes())
    (store.root / "logs" / "b.jsonl").symlink_to(other)
    assert bodies(tail.read()) == []
