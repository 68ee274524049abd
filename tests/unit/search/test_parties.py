"""`search/parties.py`: between whom a call is."""

from __future__ import annotations

from otel_logging.search.call_view import render_text
from otel_logging.search.one_call import find_call

SID = "CA" + "a1" * 16
PARTIES = {"direction": "inbound", "from": "[PHONE]", "to": "+15550101"}


def test_of_the_call_span(store):
    """What the call was opened with, as it was stored, in the terminal and in JSON."""
    store.log("a", store.record("x", call=SID))
    store.trace("a", store.span("call", trace="a1" * 16, span="1" * 16, call=SID, **PARTIES))
    view = find_call(store.root, SID)
    assert view.as_json()["parties"] == PARTIES
    assert "  parties   inbound, from [PHONE] to +15550101" in list(render_text(view))


def test_of_a_record(store):
    """Where there are no spans, a record that names the call's direction tells."""
    store.log("a", store.record("x", call=SID), store.record("y", at=1, call=SID, **PARTIES))
    assert find_call(store.root, SID).parties == PARTIES


def test_a_change_of_state_is_no_party(store):
    """`from` and `to` alone, another span's, another call's, and what is no short text, tell nothing."""
    store.log(
        "a",
        store.record("x", call=SID, **{"from": "idle", "to": "talking"}),
        store.record("y", call=SID, trace="a1" * 16, direction=3, **{"from": ["a"]}),
        store.record("z", call="CAother", trace="a1" * 16, **PARTIES),
        store.record("long", call=SID, direction="x" * 200),
    )
    store.trace("a", store.span("jump", trace="a1" * 16, span="1" * 16, call=SID, **PARTIES))
    view = find_call(store.root, SID)
    assert view.parties == {}
    assert "parties  " not in "\n".join(render_text(view))
