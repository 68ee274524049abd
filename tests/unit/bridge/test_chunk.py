"""Entries come out of a chunk as they went in, and what they take is counted."""

from __future__ import annotations

import gc
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logging.bridge import chunk

WHY = (logging.INFO, "policy:audio-frames")
PLAIN = ("server.media", (1, 2), WHY, None, ())
TEMPLATE = ("server.media", (1, 2), WHY, "bytes=%d", ())
TEMPLATES = ("server.media", (1, 2), WHY, "%s of %d", ())
RICH = ("server.media", (0, 0), (logging.DEBUG, None), None, (("user", "u" * 100),))

texts = st.one_of(st.text(), st.sampled_from(["", "\0", "ÿ", "\ud83d", "שלום 📞", "bytes=1"]))
entries = st.one_of(
    st.tuples(texts, st.just(PLAIN)),
    st.tuples(texts.map(lambda text: text.encode("utf-8", "surrogatepass")), st.just(PLAIN)),
    st.tuples(texts, st.just(RICH)),
    st.tuples(st.integers(), st.just(TEMPLATE)),
    st.tuples(st.tuples(texts, st.integers()), st.just(TEMPLATES)),
)


def made(rows):
    """A chunk of these texts and sites, made a second apart."""
    sites = []
    codes = chunk.coded([site for _, site in rows], sites)
    times = tuple(1.7e9 + number for number in range(len(rows)))
    return chunk.make(times, tuple(text for text, _ in rows), codes, tuple(sites), rich=True)


def said(text, template):
    """What an entry says."""
    if template is not None:
        return template % text
    return text if isinstance(text, str) else text.decode("utf-8", "surrogatepass")


@given(rows=st.lists(entries, min_size=1, max_size=20), data=st.data())
def test_entries_come_out_as_they_went_in(rows, data):
    """Texts of any characters, encoded or not, numbers, sites and times, also where a chunk is cut."""
    whole = made(rows)
    expected = [
        (int((1.7e9 + number) * 1e9), said(text, site[3]), site[0], site[1], site[2], site[4])
        for number, (text, site) in enumerate(rows)
    ]
    assert [tuple(one) for one in chunk.entries(whole)] == expected
    if len(rows) > 1:
        first, second = chunk.cut(whole, data.draw(st.integers(1, len(rows) - 1)))
        assert [tuple(one) for one in (*chunk.entries(first), *chunk.entries(second))] == expected
        assert (first.number + second.number, first.content + second.content) == (whole.number, whole.content)
        assert first.memory + second.memory == whole.memory


def test_more_sites_than_a_byte_counts():
    """Each entry keeps its own site, however many there are."""
    rows = [("text", (f"logger.{number}", (0, 0), WHY, None, ())) for number in range(300)]
    assert [one.name for one in chunk.entries(made(rows))] == [site[0] for _, site in rows]


def test_a_site_that_is_not_known():
    """One entry with a wrong number costs no other entry, and is there itself."""
    one = chunk.make((1.0, 2.0), (b"a", b"b"), b"\0\7", (PLAIN,), rich=False)
    assert [(entry.text, entry.name) for entry in chunk.entries(one)] == [("a", PLAIN[0]), ("b", PLAIN[0])]


def test_numbers_of_known_sites_stay():
    """Sites that have a number keep it where others are added."""
    sites = [PLAIN, RICH]
    assert bytes(chunk.coded([1, 0, TEMPLATE, 1], sites)) == bytes([1, 0, 2, 1])
    assert sites == [PLAIN, RICH, TEMPLATE]


@pytest.mark.parametrize(
    "text", [b"a frame of 160 bytes", "a frame of 160 bytes", 7], ids=["encoded", "text", "number"]
)
def test_the_collector_has_nothing_to_go_through(text):
    """A chunk refers to plain objects only, and to its sites once each, not once for each entry."""
    site = TEMPLATE if text == 7 else PLAIN
    one = chunk.make(tuple(map(float, range(200))), (text,) * 200, chunk.coded([0] * 200, [site]), (site,), rich=False)
    for _ in range(5):  # tuples within tuples are left alone from the inside out
        gc.collect()
    assert not any(map(gc.is_tracked, one))
    assert isinstance(one.codes, bytes)


def test_extras_count():
    """The extras of a record are content and memory, too."""
    plain, rich = made([("text", PLAIN)]), made([("text", RICH)])
    assert rich.content - plain.content == 104
    assert rich.memory > plain.memory + 104
