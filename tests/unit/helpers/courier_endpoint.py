"""What tests of the courier share: an endpoint that answers as told, a clock, and what a courier is given."""

from __future__ import annotations

from export_kit import sdk_record

from otel_logging.export import otlp_request
from otel_logging.export.answers import TAKEN, Outcome, of_status
from otel_logging.export.entry import entry_of

PATIENCE = 30.0


class Endpoint:
    """Answers as told: `answer(bodies)` gives an Answer, None for taken."""

    endpoint = "http://there"

    def __init__(self, answer=lambda bodies: None):
        self.answer = answer
        self.headers = {}
        self.asked = []
        self.took = []
        self.closed = self.forked = 0
        self.seconds = []

    def send(self, blob, seconds=None):
        request = otlp_request._request(blob)
        bodies = [r.body.string_value for one in request.resource_logs for s in one.scope_logs for r in s.log_records]
        self.asked.append(bodies)
        self.seconds.append(seconds)
        answer = self.answer(bodies) or TAKEN
        if answer.outcome is Outcome.TAKEN:
            self.took += bodies
        return answer

    def close(self):
        self.closed += 1

    def after_fork(self):
        self.forked += 1


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def readable(body):
    return entry_of(sdk_record(body)).record


def send(courier, *bodies):
    courier.taken(len(bodies))
    courier.send([readable(body) for body in bodies])


def says(*statuses):
    """Answers with these statuses, then takes all."""
    left = list(statuses)
    return lambda _bodies: of_status(left.pop(0)) if left else None
