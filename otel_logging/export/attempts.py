"""One request to one endpoint, in as many parts as it takes, and what becomes of each of its records.

    taken            exported; what the endpoint says it rejected of it is dropped as `rejected`
    later            (busy, unreachable) all that is left is to be sent again, after a pause
    denied           (401, 403, 404, …) said once, and the same: somebody may put it right
    too large        halved, down to one record, which is dropped as `too_large`
    refused          (400, 500) halved, down to one record, which is dropped as `rejected` if the endpoint takes others

An endpoint that refuses everything is no reason to drop anything. Where records wait, and who counts them, is the
business of `courier`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from otel_logging import trouble
from otel_logging.export.answers import Answer, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_logging.export.parcel import Parcel
    from otel_logging.export.retry import Backoff
    from otel_logging.export.sender import Sender

_CREDIT: Final = 3  # records that may be dropped for a 400 without another one having been taken meanwhile
_MAX_SUSPECTS: Final = 4  # single records refused in a row: by then it is the endpoint
_SPLITTABLE: Final = frozenset({Outcome.TOO_LARGE, Outcome.REFUSED})


class Attempts:
    """Makes attempts at parcels.

    Args:
        sender: makes one request.
        backoff: told of failures and successes.
        settle: told of the next records of a parcel as they are done with: how many, and why they were dropped, if so.
        time_for: seconds that a request with this parcel may take, None for what the settings say; 0 for no time.
        fate: what becomes of records that are not taken, for people.
    """

    def __init__(
        self,
        sender: Sender,
        backoff: Backoff,
        settle: Callable[[Parcel, int, str | None], None],
        time_for: Callable[[Parcel], float | None],
        fate: str,
    ) -> None:
        self._sender = sender
        self._backoff = backoff
        self._settle = settle
        self._time_for = time_for
        self._fate = fate
        self._credit = 0

    def at(self, parcel: Parcel) -> bool:
        """Send what is left of a parcel. True if all of its records are done with."""
        parts = deque([(parcel.done, parcel.count)])
        suspects: list[str] = []  # why records are dropped as soon as the endpoint takes another one
        taken = False
        while parts and len(suspects) < _MAX_SUSPECTS:
            start, stop = parts.popleft()
            size = stop - start
            answer = self._ask(parcel, start, stop)
            if answer is None:
                return False
            if answer.outcome is Outcome.TAKEN:
                taken, self._credit = True, _CREDIT
                for reason in suspects:
                    self._settle(parcel, 1, reason)
                suspects.clear()
                rejected = min(answer.rejected, size)
                self._settle(parcel, size - rejected, None)
                self._settle(parcel, rejected, "rejected")
            elif answer.outcome in _SPLITTABLE and size > 1:
                middle = start + size // 2
                parts.extendleft([(middle, stop), (start, middle)])
            elif answer.outcome in _SPLITTABLE:
                self._tell(answer, "such a record is dropped, if others are taken")
                reason = "too_large" if answer.outcome is Outcome.TOO_LARGE else "rejected"
                if not suspects and (taken or reason == "too_large" or self._on_credit(answer)):
                    self._settle(parcel, 1, reason)
                else:
                    suspects.append(reason)
            else:
                self._backoff.failed(answer.pause)
                self._tell(answer, self._fate)
                return False
        if suspects:  # it takes nothing at all; that may be set right, or the next records will tell
            self._backoff.failed()
            return False
        self._backoff.succeeded()
        return True

    def _on_credit(self, answer: Answer) -> bool:
        if answer.status != 400 or not self._credit:
            return False
        self._credit -= 1
        return True

    def _ask(self, parcel: Parcel, start: int, stop: int) -> Answer | None:
        """One request; None if there is no time for one."""
        seconds = self._time_for(parcel)
        if seconds == 0:
            return None
        try:
            blob = parcel.part(start, stop)
        except Exception as error:
            why = f"was not sent what cannot be read ({trouble.sentence(error)})"
            return Answer(Outcome.REFUSED, "poison", why, status=400)
        answer = self._sender.send(blob, seconds)
        if answer.outcome is Outcome.TAKEN and answer.kind:
            said = f": {answer.why}" if answer.why else ""
            trouble.report(
                answer.kind,
                f"the OTLP endpoint {self._sender.endpoint} took a batch, but rejected {answer.rejected} records of it"
                f"{said}",
            )
        return answer

    def _tell(self, answer: Answer, fate: str) -> None:
        if answer.kind != "otlp_closed":
            cure = answer.cure or "see the Collector's own log"
            trouble.report(answer.kind, f"the OTLP endpoint {self._sender.endpoint} {answer.why}; {fate}; {cure}")
