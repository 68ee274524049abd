"""Whatever a token, a password or a key looks like: it is in no line, no count, no repr and no record of ours."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from unittest import mock
from urllib.parse import quote

import pytest
from hypothesis import Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import otel_logging
from otel_logging import hidden, settings, trouble
from otel_logging.boot.control_url import Poller
from otel_logging.export import otlp
from otel_logging.testing import capture

MARK = "c4n4ry"
# What may stand in a header's value, a password or a key; the mark makes sure that no ordinary word is meant.
SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=30).map(lambda text: MARK + text)
TOKENS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30).map(lambda text: MARK + text)
DEAD = "127.0.0.1:1"  # nobody listens there


def places(secret, token):
    """Environments in which a secret stands where an operator may put it, rightly or by mistake."""
    coded = quote(secret, safe="")
    return [
        {"OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{coded}"},
        {"OTEL_EXPORTER_OTLP_HEADERS": f"Authorization: Bearer {token.replace(',', '').replace('=', '')}"},
        {"OTEL_EXPORTER_OTLP_LOGS_HEADERS": f"x-api-key={coded},{coded}"},
        {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"http://user:{coded}@{DEAD}/v1/logs"},
        {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"http://{DEAD}/v1/logs?key={coded}"},
        {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"nonsense://user:{coded}@{DEAD}"},
        {"OTEL_LOGGING_CONTROL": f"https://{DEAD}/x?token={coded}"},
        {"OTEL_LOGGING_CONTROL": f"http://user:{coded}@{DEAD}/x"},
        {"OTEL_LOGGING_CONTROL": f"https://user:{coded}@{DEAD}/x?{coded}"},
        {"OTEL_LOGGING_CONTROL": f"https://{DEAD}/x", "OTEL_LOGGING_CONTROL_TOKEN": token},
        {"OTEL_LOGGING_CONTROL_TOKEN": f"{token}\nwith a line break"},
        {"OTEL_LOGGING_PSEUDONYM_KEY": secret.replace("\0", "")},
    ]


def everything_said(environ):
    """What is printed, raised, counted and logged of a process's boot, its first exports, and its questions."""
    out = io.StringIO()
    seen = []
    with (
        mock.patch.dict(os.environ, {"OTEL_EXPORTER_OTLP_TIMEOUT": "0.05", **environ}),
        mock.patch.object(hidden, "_told", {}),
        contextlib.redirect_stderr(out),
        contextlib.redirect_stdout(out),
    ):
        trouble.reset()
        read = settings.read()
        seen += [repr(read), *read.problems, otlp.endpoint_of("logs", otlp.HTTP)]
        exporter = otlp.build_log_exporter()
        if exporter is not None:
            with contextlib.suppress(Exception):
                exporter.export([])
            seen += [repr(exporter), str(getattr(exporter, "failure", ""))]
        if (read.control or "").startswith("https://"):
            poller = Poller(read.control, read.control_token, lambda _: None)
            poller.ask()
            seen.append(repr(poller))
        with capture() as captured:
            logging.getLogger("app").warning("a record")
            seen += [repr(record) for record in captured.records]
        seen += [repr(otel_logging.stats()), repr(trouble.counts())]
        trouble.report("anything", f"somebody else's words: {dict(environ)!r}")
        trouble.reset()
    return [out.getvalue(), *seen]


@pytest.mark.parametrize("place", range(12))
# Each example boots: no time is spent on making a found one shorter.
@hypothesis_settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(secret=SECRETS, token=TOKENS)
def test_no_secret_is_shown(place, secret, token):
    """Boot, settings, failed exports, the control URL, stats and other people's errors: the secret is in none of it."""
    environ = places(secret, token)[place]
    said = everything_said(environ)
    assert not [text for text in said if MARK in text]


def test_the_test_would_notice():
    """Where a variable is none that holds secrets, what it holds is shown: the property can fail."""
    assert any(MARK in text for text in everything_said({"OTEL_SERVICE_NAME": MARK}))
