"""What the endpoint does in a row of the matrix: refuse, hang, answer with errors, come back; and the next process.

Functions of a `Running`, or makers of such, like those of `matrix_acts`: some for before the program is started, some
for while it runs, some for after its end. What is done to the program itself is in there.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from otlp_sink import Answer, Close, Hang

if TYPE_CHECKING:
    from matrix_run import Running

NEXT = 5  # lines of the next process


# -- before it is started ----------------------------------------------------------------------------------------------


def refuse(running: Running) -> None:
    """The endpoint is down."""
    running.sink.refuse()


def hang(running: Running) -> None:
    """The endpoint takes everything and never answers."""
    running.sink.always(Hang())
    running.sink.always(Hang(), signal="traces")


def unavailable(status: int, times: int):
    """The endpoint is overloaded for its first requests."""
    return lambda running: running.sink.script(*[Answer(status, {"Retry-After": "0"})] * times)


def closed_once(running: Running) -> None:
    """The endpoint closes its first connection without an answer."""
    running.sink.script(Close())


def answers_if(status: int, refused: Callable[[Any], bool]):
    """The endpoint answers `status` to every request of which `refused` is true, and 200 to the others."""
    return lambda running: running.sink.always(lambda request: Answer(status if refused(request) else 200))


def larger_than(records: int):
    """A request with more than so many records."""
    return lambda request: len(request.records) > records


def with_line(line: str):
    """A request that holds this numbered line."""
    return lambda request: any(str(record.body).startswith(f"{line} ") for record in request.records)


def without_token(request: Any) -> bool:
    """A request whose token is not the right one."""
    return request.headers.get("x-token") != "right"


# -- until it has ended ------------------------------------------------------------------------------------------------


def back_in_mid_run(running: Running) -> int:
    """The endpoint has refused the first 20 lines, and comes back. They arrive while the program runs, as do later ones."""
    running.until(lambda: running.said("refused|cannot be reached|Connection aborted"), "a refused connection")
    _back(running)
    running.until_arrived(20)
    return _rest(running)


def outage_in_mid_run(begin: Callable[[Any], object], met: Callable[[Running, int], object]):
    """Once 20 lines have arrived the endpoint misbehaves, as `begin(sink)` says, for the next 20.

    When the outage was `met`, it is over; all 40 arrive while the program runs, as do the last ones.
    """

    def act(running: Running) -> int:
        running.until_arrived(20)
        asked = len(running.sink.requests)
        begin(running.sink)
        running.process.process.send_signal(signal.SIGUSR1)
        running.until_said("during 19")
        running.until(lambda: met(running, asked), "the outage")
        _back(running)
        running.until_arrived(40)
        return _rest(running)

    return act


def requests(count: int):
    """The endpoint has been asked so many times since the outage began."""
    return lambda running, asked: len(running.sink.requests) >= asked + count


def seconds(length: float):
    """The first request of the outage is that long ago."""

    def met(running: Running, asked: int) -> bool:
        refused = running.sink.requests[asked:]
        return bool(refused) and time.monotonic() - refused[0].at >= length

    return met


def said_refused(running: Running, _asked: int) -> bool:
    """The program's process has noticed that nobody listens."""
    return running.said("refused|cannot be reached|Connection aborted") > 0


def _back(running: Running) -> None:
    running.sink.always(Answer())
    running.sink.always(Answer(), signal="traces")
    running.sink.accept()
    running.sink.release()


def _rest(running: Running) -> int:
    running.process.process.send_signal(signal.SIGUSR1)
    code: int = running.process.wait()
    return code


# -- after its end -----------------------------------------------------------------------------------------------------


def next_process(**env: str):
    """The endpoint is well again, and the next process is started. It ends when everything has arrived, and well."""

    def then(running: Running) -> None:
        if not env:
            _back(running)
        running.start((sys.executable, "-W", "ignore", "matrix_app.py", "next_process"), env)
        running.until_said(f"next {NEXT - 1}")
        # Of the official handler only its own lines are waited for: it has nothing of those before.
        running.until_arrived(NEXT if running.official else running.case.due)
        assert _rest(running) == 0, running.process.describe()

    return then
