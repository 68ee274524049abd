"""A line of code that is familiar prints and sends what it would with a record made for it, whatever it says next."""

from __future__ import annotations

import contextlib
import io
import logging
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kept_records import Kept, records_of
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.resources import Resource

import otel_logging
from otel_logging.bridge import direct, gate, late
from otel_logging.bridge.ledger import Ledger
from otel_logging.bridge.pipeline import Pipeline
from otel_logging.bridge.sampling import SamplingLogRecordProcessor, read_policies
from otel_logging.export.batch import BatchingProcessor
from otel_logging.export.console import Console

POLICIES = {privacy: read_policies(None, privacy=privacy) for privacy in ("off", "secrets", "strict")}
NAME = "familiar.test"
SID = "CA" + "fa31" * 8  # of no other test: a call keeps what is bound to it
MOMENT = re.compile(r'^(\[[^]]*\]|\{"timestamp":"[^"]*")', re.MULTILINE)


class _Text(str):
    __slots__ = ()


# Texts of one shape among which some have a secret, are dropped, or are no line: whoever learns too much shows it.
TEXTS = st.one_of(
    st.sampled_from(
        [
            "turn 1 of the call", "turn 2 of the call", "turn 99 of the call", "base64=1", "base65=1",
            "token=12345678", "token 12345678", "card 4111111111111111", "card 9111111111111111", "+972501234567",
            "sha256 5", "sha255 5", "bearer%20abcdefgh12", "bearer%21abcdefgh12", "[AUDIO_DELTA] bytes=1",
            "[AUDIO_DELTA] bytes=2", "שלום 1", "שלום 2", "a\nb1", "a\nb2", "\x7f1", "\ud8001", "", "x" * 600, "%", "%d",
        ]
    ),
    st.text(st.sampled_from('01a =:\n"\\é'), max_size=8),
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from([0, 7, 12, (1 << 63) - 1, 1 << 63, -(1 << 63) - 1, True, None, _Text("t"), [1]]),
    st.sampled_from([0.0, 1.5, 1e16, 9.999e-05, float("nan"), float("-inf")]),
    TEXTS,
)
NAMES = st.sampled_from(["turn", "voice", "token", "password", "call_sid", "status", "code.x", "a\x7fb", "extra 1"])
EXTRAS = st.dictionaries(NAMES, VALUES, max_size=3)
MESSAGES = st.one_of(
    st.tuples(TEXTS, st.just(())),
    st.tuples(st.sampled_from(["turn %d", "turn %s of %s", "%s"]), st.lists(VALUES, max_size=2).map(tuple)),
)


@pytest.fixture(scope="module")
def log():
    logger = logging.getLogger(NAME)
    logger.propagate = False  # the test runner's own handlers look at records
    logger.setLevel(logging.INFO)
    yield logger
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


def _all(log, messages, privacy, *, quick, alone, json):
    """What the console shows and what is sent, and the books, of these messages."""
    log.handlers.clear()
    policies, books, sent = POLICIES[privacy], Ledger(), Kept()
    stream, queue = io.StringIO(), None
    if alone:
        pipeline = Pipeline(policies=policies, books=books)
        way = None
    else:
        provider = LoggerProvider(resource=Resource({"service.name": "s"}), shutdown_on_exit=False)
        queue = BatchingProcessor(sent, books)
        provider.add_log_record_processor(SamplingLogRecordProcessor(queue, policies))
        pipeline = Pipeline(policies=policies, books=books, provider=provider)
        way = pipeline.direct = direct.Direct(provider, [queue])
    pipeline.console = Console(json, "on", "s", stream=lambda: stream)
    if quick:
        pipeline.late = late.Late(pipeline, way)
    gate.install(pipeline)
    try:
        for (text, args), extra in messages:
            with contextlib.suppress(KeyError):  # as `makeRecord` has it of a reserved name
                log.info(text, *args, **({"extra": extra} if extra else {}))
    finally:
        gate.uninstall()
    assert queue is None or queue.close()
    found = books.snapshot()
    assert found["created"] == found["exported"] + sum(found["dropped"].values())
    return MOMENT.sub("", stream.getvalue()), records_of(sent), found


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(MESSAGES, EXTRAS), min_size=1, max_size=4),
    st.lists(st.integers(0, 3), min_size=4, max_size=12),
    st.sampled_from([None, SID]),
    st.sampled_from(sorted(POLICIES)),
    st.booleans(),
    st.booleans(),
)
@example(
    [((text, ()), {}) for text in ("card 4111111111111111", "card 9111111111111111")],
    [1, 1, 1, 1, 0, 1],
    None,
    "strict",
    True,
    True,
)
@example(
    [(("x %s", ("y",)), {"turn": 1}), (("x %s", ("y",)), {"turn": 1 << 63})], [0, 0, 0, 0, 1], None, "off", True, True
)
@example(
    [(("a\n\nturn=1", ()), {"turn": "2"}), (("a", ()), {"turn": "1\n\nturn=2"})], [0, 0, 0, 0, 1], None, "off", False, True
)  # fmt: skip
def test_a_familiar_line_says_the_same(log, kinds, order, sid, privacy, alone, json):
    """Promises 2, 3 and 5, and privacy: the same lines, records and books, however often their kind was met before."""
    messages = [kinds[number % len(kinds)] for number in order]
    found = []
    for quick in (True, False):
        around = otel_logging.call(sid) if sid else contextlib.nullcontext()
        with around:
            found.append(_all(log, messages, privacy, quick=quick, alone=alone, json=json))
    assert found[0] == found[1]
