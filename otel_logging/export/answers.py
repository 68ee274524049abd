"""What an endpoint's answer means for the records that were sent, and how it is told.

Nothing in here sends, waits or counts.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from otel_logging import hidden
from otel_logging.export import tls_words


class Outcome(enum.Enum):
    """What is to become of the records."""

    TAKEN = "taken"
    LATER = "later"
    """Nobody's fault: send them again."""
    TOO_LARGE = "too large"
    """Send them in smaller parts."""
    REFUSED = "refused"
    """One of them is at fault, or the endpoint refuses all it is sent."""
    DENIED = "denied"
    """The endpoint does not want us; somebody has to set that right, and they can be sent then."""


@dataclass(frozen=True)
class Answer:
    """The outcome of one attempt.

    Args:
        outcome: what is to become of the records.
        kind: the kind of trouble, as `otel_logging.trouble` counts it; empty if there was none.
        why: a sentence about it, without the endpoint: `does not answer (connection refused)`.
        cure: what to do about it.
        pause: seconds that the endpoint wants to be left alone.
        rejected: records that it refused of a request that it took.
        status: the HTTP status; 0 if there was no answer.
    """

    outcome: Outcome
    kind: str = ""
    why: str = ""
    cure: str = ""
    pause: float | None = None
    rejected: int = 0
    status: int = 0


TAKEN: Final = Answer(Outcome.TAKEN, status=200)

_HEADERS: Final = "check OTEL_EXPORTER_OTLP_HEADERS"
_LOG: Final = "see the Collector's own log"
_STATUS: Final[dict[int, tuple[Outcome, str, str, str]]] = {
    400: (Outcome.REFUSED, "otlp_failed", "does not accept what it is sent (400 Bad Request)", _LOG),
    401: (Outcome.DENIED, "otlp_refused", "refuses us (401 Unauthorized)", _HEADERS),
    403: (Outcome.DENIED, "otlp_refused", "refuses us (403 Forbidden)", _HEADERS),
    404: (
        Outcome.DENIED,
        "otlp_refused",
        "has no such path (404 Not Found)",
        "check the endpoint's path and OTEL_EXPORTER_OTLP_PROTOCOL",
    ),
    413: (
        Outcome.TOO_LARGE,
        "otlp_too_large",
        "refuses the batch as too large (413)",
        "lower OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    ),
    # The four that OTLP calls retryable.
    429: (Outcome.LATER, "otlp_busy", "asks us to send less (429)", "raise its limits, or log less"),
    502: (Outcome.LATER, "otlp_busy", "cannot be reached behind its proxy (502)", _LOG),
    503: (Outcome.LATER, "otlp_busy", "is overloaded or restarting (503)", _LOG),
    504: (Outcome.LATER, "otlp_busy", "does not answer its proxy in time (504)", _LOG),
}


def of_status(status: int, said: str = "", pause: float | None = None) -> Answer:
    """What an HTTP status means. `said` is the beginning of the body, for people.

    Statuses that OTLP does not name mean that we do not talk to what we think we talk to: nothing is given up for
    that. A server's 500 may be about one record, as a 400 may.
    """
    if 200 <= status < 300:
        return Answer(Outcome.TAKEN, status=status)
    known = _STATUS.get(status)
    if known is not None:
        outcome, kind, why, cure = known
    elif status == 500:
        outcome, kind, why, cure = Outcome.REFUSED, "otlp_failed", "failed on what it was sent (500)", _LOG
    elif 300 <= status < 400:
        outcome, kind, why, cure = Outcome.DENIED, "otlp_refused", f"sends us elsewhere ({status})", "set its new URL"
    else:
        outcome, kind, why, cure = Outcome.DENIED, "otlp_failed", f"did not take a batch ({status})", _LOG
    text = printable(said)
    return Answer(outcome, kind, f"{why}: {text}" if text else why, cure, pause, status=status)


def printable(text: str) -> str:
    """A stranger's text, short, on one line and without user or password."""
    return hidden.shown(" ".join(text.split()))[:200]


# What upstream's and the system's words mean: found in them, kind of trouble, what it says, what to do.
WORDS: Final = (
    *tls_words.WORDS,
    ("refused", "unreachable", "does not answer (connection refused)", "start the Collector"),
    ("resolve", "unreachable", "cannot be found (its name does not resolve)", "check the host name"),
    ("Name or service", "unreachable", "cannot be found (its name does not resolve)", "check the host name"),
    ("UNAVAILABLE", "unreachable", "does not answer (unavailable)", "start the Collector"),
    ("timed out", "unreachable", "does not answer in time", "check that the Collector is up and reachable"),
    ("DEADLINE_EXCEEDED", "unreachable", "does not answer in time", "check that the Collector is up and reachable"),
    ("Too Many Requests", "busy", "asks us to send less (429)", "raise its limits, or log less"),
    ("Service Unavailable", "busy", "is overloaded or restarting (503)", _LOG),
    *tls_words.CLOSED,
    # Where its first pause would be too long already, upstream gives no reason.
    (
        "due to timeout",
        "unreachable",
        "does not answer, or is too busy",
        "check that the Collector is up and reachable",
    ),
    ("exceeds max_request_size", "too_large", "was not asked: the batch is too large", "log less in one record"),
    ("code: 401", "refused", "refuses us (401 Unauthorized)", _HEADERS),
    ("code: 403", "refused", "refuses us (403 Forbidden)", _HEADERS),
    ("UNAUTHENTICATED", "refused", "refuses us (unauthenticated)", _HEADERS),
    ("PERMISSION_DENIED", "refused", "refuses us (permission denied)", _HEADERS),
    (
        "code: 404",
        "refused",
        "has no such path (404 Not Found)",
        "check the endpoint's path and OTEL_EXPORTER_OTLP_PROTOCOL",
    ),
    ("UNIMPLEMENTED", "refused", "does not speak OTLP over gRPC", "check OTEL_EXPORTER_OTLP_PROTOCOL"),
    ("code: 413", "too_large", "refuses the batch as too large (413)", "lower OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"),
)


def told(said: str) -> tuple[str, str, str]:
    """The kind of failure, a sentence about it and the cure, from what libraries said; see `WORDS`."""
    for sign, kind, does, cure in WORDS:
        if sign in said:
            if kind == "unreachable":
                cure += ", or set OTEL_EXPORTER_OTLP_ENDPOINT"  # noqa: PLW2901 (one cure for all of them)
            return kind, does, cure
    return "failed", f"did not take a batch ({printable(said) or 'no reason given'})", _LOG


def of_words(said: str) -> Answer:
    """What a failure without a status means, from what was said about it."""
    kind, does, cure = told(said)
    outcome = Outcome.LATER
    if kind == "too_large" or ("RESOURCE_EXHAUSTED" in said and "larger than max" in said):
        outcome = Outcome.TOO_LARGE
    elif kind == "refused":
        outcome = Outcome.DENIED
    elif "INVALID_ARGUMENT" in said:
        outcome = Outcome.REFUSED
    return Answer(outcome, f"otlp_{kind}", does, cure)
