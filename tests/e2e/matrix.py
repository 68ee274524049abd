"""The matrix: how processes begin and end, and what must have arrived by then. One row a case; this file is the table.

A row names a program, what is done to it, and how many numbered lines it logs. Running it, and judging what arrived, is
`matrix_run`; the tests are `test_matrix*.py`. To add a case, add a row to one of the groups below; docs/explanation/
compared-with-the-official-handler.md is written from the same rows.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import matrix_acts as acts
import matrix_endpoints as endpoints
from otlp_sink import Answer, Hang

if TYPE_CHECKING:
    from matrix_run import Running

Act = Callable[["Running"], Any]

_CALL: Final = "e1" * 16


@dataclass(frozen=True)
class Case:
    """One row."""

    name: str  # its id in the tests
    about: str  # what it is, for a reader
    command: tuple[str, ...]  # PORT stands for a free port, SOCKET for Redis
    emits: Mapping[str, int]  # numbered lines, by kind
    act: Act = acts.wait  # all that is done to it, until it has ended; returns its exit code
    code: int | None = 0  # its exit code, as it would be without us; None: whatever it is
    how: str = "run"  # run, instrument, auto
    env: Mapping[str, str] = field(default_factory=dict)
    prepare: Act | None = None  # before it is started
    check: Act | None = None  # what else must be true, of ours
    lost: int = 0  # at most so many lines need not arrive: those of the stated window
    killed: bool = False  # a process of it is killed, and leaves no books
    dropped: Mapping[str, int] = field(default_factory=dict)  # what the books say was dropped, by reason
    then: Callable[[Running], None] | None = None  # after its end, such as the next process; its lines are in `emits`
    told: bool = False  # otel-logging has to say something on stderr
    again: int = 0  # at most so many lines may arrive twice: those that were just arriving when it was killed

    @property
    def emitted(self) -> int:
        """Lines in all."""
        return sum(self.emits.values())

    @property
    def due(self) -> int:
        """Lines that have to arrive."""
        return self.emitted - self.lost


def _app(way: str) -> tuple[str, ...]:
    return (sys.executable, "-W", "ignore", "matrix_app.py", way)


_TERM = -signal.SIGTERM
_LINES = {"line": 20}

ENDS: Final = (
    Case("normal-exit", "The program's last line", _app("normal"), _LINES),
    Case("normal-exit-instrument", "The same under `opentelemetry-instrument`", _app("normal"), _LINES, how="instrument"),
    Case("normal-exit-auto", "The same with `import otel_logging.auto`", _app("normal"), _LINES, how="auto"),
    Case("sys-exit", "`sys.exit(3)`", _app("sys_exit"), _LINES, code=3),
    Case("sys-exit-asyncio", "`sys.exit(3)` in a coroutine", _app("sys_exit_in_asyncio"), _LINES, code=3),
    Case("os-exit", "`os._exit(7)`", _app("os_exit"), _LINES, code=7),
    Case("os-exec", "`os.execv` of another program", _app("executes_another"), {"line": 20, "replacement": 20}),
    Case("daemon-thread", "A daemon thread has logged", _app("daemon_thread"), {"thread": 20, "line": 5}),
    Case("atexit", "The application's `atexit` function logs", _app("at_exit"), {"line": 20, "hook": 5}),
    Case(
        "sigint", "SIGINT, as by Ctrl-C", _app("abort_by_keyboard"), {"line": 20, "goodbye": 1},
        acts.signal_when("line 19", signal.SIGINT), -signal.SIGINT,
    ),
    Case("sigterm", "SIGTERM, asleep", _app("sleeping"), _LINES, acts.signal_when("line 19"), _TERM),
    Case("sigterm-auto", "SIGTERM, `import otel_logging.auto`", _app("sleeping"), _LINES, acts.signal_when("line 19"), _TERM, how="auto"),
    Case("sigterm-asyncio", "SIGTERM in `asyncio.run`", _app("sleeping_in_asyncio"), _LINES, acts.signal_when("line 19"), _TERM),
    Case("sigterm-join", "SIGTERM while a thread is joined", _app("joining_a_thread"), _LINES, acts.signal_when("line 19"), _TERM),
    Case(
        "sigterm-own-handler", "SIGTERM, the application's handler exits", _app("own_handler"),
        {"line": 20, "handler": 5}, acts.signal_when("line 19"), 4,
    ),
    Case(
        "sigterm-own-flag", "SIGTERM, the application's handler sets a flag", _app("own_flag"),
        {"line": 20, "after": 5}, acts.signal_when("line 19"),
    ),
    Case(
        "sigterm-own-loop-handler", "SIGTERM, `loop.add_signal_handler`", _app("own_loop_handler"),
        {"line": 20, "after": 5}, acts.signal_when("line 19"),
    ),
    Case(
        "sigterm-set-to-default", "SIGTERM, set back to its default", _app("set_back_to_default"), _LINES,
        acts.signal_when("line 19"), _TERM,
    ),
    Case(
        "kill-9", "kill -9, 20 lines long sent and 20 just made", _app("killed"), {"line": 20, "late": 20},
        acts.killed_after_the_window, -signal.SIGKILL, check=acts.all_of("line", 20), lost=20, killed=True,
    ),
)  # fmt: skip

UNHANDLED: Final = (
    Case("unhandled", "An exception nobody handles", _app("unhandled"), _LINES, code=1, check=acts.one_critical("RuntimeError")),
    Case(
        "unhandled-own-hook", "The same, with the application's `sys.excepthook`", _app("unhandled_with_a_hook"),
        {"line": 20, "hook": 1}, code=1, check=acts.one_critical("RuntimeError", stderr="hook says nobody handles this"),
    ),
    Case(
        "unhandled-in-a-call", "The same, within a call", _app("unhandled_in_a_call"), _LINES, code=1,
        check=acts.one_critical("RuntimeError", call_sid="CA" + _CALL),
    ),
    Case(
        "unhandled-thread", "An exception nobody handles, in a thread", _app("unhandled_in_a_thread"),
        {"line": 20, "after": 5}, check=acts.one_critical("ZeroDivisionError"),
    ),
    Case(
        "unhandled-thread-own-hook", "The same, with the application's `threading.excepthook`", _app("unhandled_in_a_thread_with_a_hook"),
        {"line": 20, "hook": 1, "after": 5}, check=acts.one_critical("ZeroDivisionError", stderr="hook says division by zero"),
    ),
    Case(
        "unhandled-task", "An exception nobody handles, in an asyncio task", _app("unhandled_in_a_task"),
        {"line": 20, "after": 5}, check=acts.one_critical("RuntimeError", stderr=None),
    ),
    Case(
        "unhandled-task-in-a-call", "The same, in a task of a call", _app("unhandled_in_a_task_of_a_call"),
        {"line": 20, "after": 5}, check=acts.one_critical("RuntimeError", call_sid="CA" + _CALL, stderr=None),
    ),
    Case(
        "unhandled-logging-hook", "The same, where the application's `sys.excepthook` logs it", _app("unhandled_with_a_logging_hook"),
        _LINES, code=1, check=acts.one_critical("RuntimeError", stderr=None),
    ),
)  # fmt: skip

_FORKED = {"before": 5, "waiting": 5, "child": 15, "beside": 3, "after": 5}
_CHILDREN = {"before": 5, "child": 10, "after": 5}
_POOL = {"before": 5, "job": 20, "after": 5}

BIRTHS: Final = (
    Case("fork-os-exit", "`os.fork`, children leave by `os._exit`", _app("fork_and_exit_hard"), _FORKED),
    Case("fork-sys-exit", "`os.fork`, children leave by `sys.exit`", _app("fork_and_exit"), _FORKED),
    Case("fork-exception", "`os.fork`, children raise", _app("fork_and_raise"), _FORKED),
    Case("fork-sigterm", "`os.fork`, SIGTERM to the child", _app("forked_child_is_told_to_stop"), {"before": 5, "child": 5, "after": 5}),
    *(
        Case(f"{method}{'-auto' * (how == 'auto')}", f"multiprocessing, {method}{', `import otel_logging.auto`' * (how == 'auto')}",
             _app(f"mp_{method}"), _CHILDREN, how=how)
        for method in ("fork", "spawn", "forkserver")
        for how in ("run", "auto")
    ),
    Case("spawn-instrument", "multiprocessing, spawn, `opentelemetry-instrument`", _app("mp_spawn"), _CHILDREN, how="instrument"),
    Case("terminate", "multiprocessing, `Process.terminate()`", _app("mp_terminate"), {"child": 10, "after": 5}),
    Case("pool", "`multiprocessing.Pool`, 20 jobs", _app("mp_pool"), _POOL),
    Case("executor-fork", "`ProcessPoolExecutor`, fork, 20 jobs", _app("executor_fork"), _POOL),
    Case("executor-spawn", "`ProcessPoolExecutor`, spawn, 20 jobs", _app("executor_spawn"), _POOL),
    Case("program", "A Python program started by another", _app("program"), {"before": 5, "line": 20, "after": 5}),
)  # fmt: skip


def _web(workers: int = 1, requests: int = 20) -> dict[str, int]:
    return {"startup": workers, "request": requests, "shutdown": workers}


_UVICORN = ("uvicorn", "matrix_web:app", "--port", "PORT")
_PROGRAM = "import {}uvicorn; uvicorn.run('matrix_web:app', port=PORT)"
_GUNICORN = ("gunicorn", "--bind", "127.0.0.1:PORT", "--workers", "2")
_ASGI = ("-k", "uvicorn_worker.UvicornWorker", "matrix_web:app")
_WSGI = ("-c", "python:matrix_web", "matrix_web:wsgi")

SERVERS: Final = (
    Case("uvicorn", "uvicorn, SIGTERM", _UVICORN, _web(), acts.use_and_stop(), _TERM),
    Case("uvicorn-instrument", "uvicorn under `opentelemetry-instrument`, SIGTERM", _UVICORN, _web(), acts.use_and_stop(), _TERM, how="instrument"),
    Case(
        "uvicorn-auto", "uvicorn in a program with `import otel_logging.auto`, SIGTERM",
        (sys.executable, "-c", _PROGRAM.format("otel_logging.auto, ")), _web(), acts.use_and_stop(), _TERM, how="auto",
    ),
    Case("uvicorn-sigint", "uvicorn, SIGINT", _UVICORN, _web(), acts.use_and_stop(signal.SIGINT), None),
    Case("uvicorn-workers", "`uvicorn --workers 2`, SIGTERM", (*_UVICORN, "--workers", "2"), _web(2), acts.use_and_stop(workers=2), None),
    Case("uvicorn-reload", "`uvicorn --reload`, SIGTERM", (*_UVICORN, "--reload"), _web(), acts.use_and_stop(), None),
    Case("gunicorn-uvicorn", "gunicorn, UvicornWorker, SIGTERM", (*_GUNICORN, *_ASGI), _web(2), acts.use_and_stop(workers=2)),
    Case("gunicorn-preload", "The same with `--preload`", (*_GUNICORN, "--preload", *_ASGI), _web(2), acts.use_and_stop(workers=2)),
    Case("gunicorn-sync", "gunicorn, sync workers, SIGTERM", (*_GUNICORN, *_WSGI), _web(2), acts.use_and_stop(workers=2)),
    Case("gunicorn-sync-preload", "gunicorn, sync workers, `--preload`", (*_GUNICORN, "--preload", *_WSGI), _web(2), acts.use_and_stop(workers=2)),
    Case("gunicorn-threads", "gunicorn, threads, SIGTERM", (*_GUNICORN, "--threads", "2", *_WSGI), _web(2), acts.use_and_stop(workers=2)),
    Case("gunicorn-sigquit", "gunicorn, sync workers, SIGQUIT", (*_GUNICORN, *_WSGI), _web(2), acts.use_and_stop(signal.SIGQUIT, workers=2)),
    Case(
        "gunicorn-renewed", "gunicorn, each worker replaced after 10 requests",
        (*_GUNICORN[:-1], "1", "--max-requests", "10", *_WSGI), _web(3), acts.use_and_stop(workers=3),
    ),
    Case("gunicorn-reloaded", "gunicorn, SIGHUP and then SIGTERM", (*_GUNICORN, *_WSGI), _web(4), acts.reloaded),
    Case("hypercorn", "hypercorn, SIGTERM", ("hypercorn", "matrix_web:app", "--bind", "127.0.0.1:PORT"), _web(), acts.use_and_stop(), None),
    Case(
        "hypercorn-workers", "hypercorn, 2 workers, SIGTERM",
        ("hypercorn", "matrix_web:app", "--bind", "127.0.0.1:PORT", "--workers", "2"), _web(2), acts.use_and_stop(workers=2), None,
    ),
)  # fmt: skip

_RQ = ("rq", "worker", "work", "-u", "unix://SOCKET", "--burst", "--path", ".")
_CELERY = (
    "celery",
    "-A",
    "matrix_jobs:celery_app",
    "worker",
    "-c",
    "2",
    "--without-gossip",
    "--without-mingle",
    "-l",
    "INFO",
)

QUEUES: Final = (
    Case("rq", "RQ `Worker`, 5 jobs", _RQ, {"job": 50}, prepare=acts.enqueue_rq(5), check=acts.rq_events(5)),
    Case("rq-spawn", "RQ `SpawnWorker`, 2 jobs", (*_RQ, "-w", "rq.worker.SpawnWorker"), {"job": 20}, prepare=acts.enqueue_rq(2), check=acts.rq_events(2)),
    Case("rq-simple", "RQ `SimpleWorker`, 5 jobs", (*_RQ, "-w", "rq.SimpleWorker"), {"job": 50}, prepare=acts.enqueue_rq(5), check=acts.rq_events(5)),
    Case("rq-enqueue", "RQ, 5 jobs enqueued", (sys.executable, "matrix_jobs.py", "rq"), {"sent": 5}, prepare=acts.empty_redis, check=acts.enqueued(5)),
    Case("celery-enqueue", "Celery, 5 tasks sent", (sys.executable, "matrix_jobs.py", "celery"), {"sent": 5}, prepare=acts.empty_redis, check=acts.enqueued(5)),
    Case("rq-failing", "RQ `Worker`, 3 jobs that fail", _RQ, {"job": 30}, prepare=acts.enqueue_rq(3, "fail"), check=acts.rq_failures(3)),
    Case(
        "rq-sigterm", "RQ `Worker`, SIGTERM during a job", tuple(word for word in _RQ if word != "--burst"), {"job": 20},
        acts.signal_when("job 9"), prepare=acts.enqueue_rq(1, "slow"),
    ),
    Case(
        "rq-pool", "RQ `worker-pool` of 2, 6 jobs", ("rq", "worker-pool", "work", "-u", "unix://SOCKET", "--burst", "--path", ".", "-n", "2"),
        {"job": 60}, prepare=acts.enqueue_rq(6),
    ),
    Case(
        "celery-prefork", "Celery prefork, `--max-tasks-per-child 1`, 10 tasks", (*_CELERY, "--max-tasks-per-child", "1"),
        {"job": 100}, acts.signal_when_celery_is_done(10), prepare=acts.send_celery(10), check=acts.celery_events(10),
    ),
    Case(
        "celery-failing", "Celery prefork, 3 tasks that fail", _CELERY, {"job": 30}, acts.signal_when_celery_is_done(3),
        prepare=acts.send_celery(3, "fail"), check=acts.celery_events(0, failed=3),
    ),
    Case("celery-threads", "Celery threads, 10 tasks", (*_CELERY, "-P", "threads"), {"job": 100}, acts.signal_when_celery_is_done(10), prepare=acts.send_celery(10)),
    Case("celery-solo", "Celery solo, 10 tasks", (*_CELERY, "-P", "solo"), {"job": 100}, acts.signal_when_celery_is_done(10), prepare=acts.send_celery(10)),
    Case(
        "celery-sigterm", "Celery prefork, SIGTERM during a task", _CELERY, {"job": 20},
        acts.signal_when("job 9"), prepare=acts.send_celery(1, "slow"),
    ),
)  # fmt: skip

_DELIVERED = endpoints.next_process()
_AND_NEXT = {"line": 20, "next": endpoints.NEXT}
_THREE = {"line": 20, "during": 20, "after": 5}

# Outages: what an endpoint does. The bound is the stop limit of container runtimes and of gunicorn, 10 s.
OUTAGES: Final = (
    Case(
        "down-exit", "The endpoint is down: `sys.exit(3)`, and the next process", _app("sys_exit"), _AND_NEXT,
        acts.end_in_time, 3, prepare=endpoints.refuse, then=_DELIVERED,
    ),
    Case(
        "down-os-exit", "The endpoint is down: `os._exit(7)`, and the next process", _app("os_exit"), _AND_NEXT,
        acts.end_in_time, 7, prepare=endpoints.refuse, then=_DELIVERED,
    ),
    Case(
        "down-sigterm", "The endpoint is down: SIGTERM, and the next process", _app("sleeping"), _AND_NEXT,
        acts.stop_in_time("line 19"), _TERM, prepare=endpoints.refuse, then=_DELIVERED,
    ),
    Case(
        "down-always", "The endpoint is down, `OTEL_LOGGING_SPOOL=always`: the last line, and the next process", _app("normal"),
        _AND_NEXT, acts.end_in_time, env={"OTEL_LOGGING_SPOOL": "always"}, prepare=endpoints.refuse, then=_DELIVERED,
    ),
    Case(
        "down-fork", "The endpoint is down: multiprocessing, fork, and the next process", _app("mp_fork"),
        {**_CHILDREN, "next": endpoints.NEXT}, prepare=endpoints.refuse, then=_DELIVERED,
    ),
    Case(
        "down-gunicorn", "The endpoint is down: gunicorn, SIGTERM, and the next process", (*_GUNICORN, *_WSGI),
        {**_web(2), "next": endpoints.NEXT}, acts.use_and_stop(workers=2, seconds=acts.STOP_LIMIT), prepare=endpoints.refuse, then=_DELIVERED,
    ),
    Case(
        "hanging-sigterm", "The endpoint never answers: SIGTERM, and the next process", _app("sleeping"), _AND_NEXT,
        acts.stop_in_time("line 19"), _TERM, prepare=endpoints.hang, then=_DELIVERED,
    ),
    Case(
        "hanging-gunicorn", "The endpoint never answers: gunicorn, SIGTERM, and the next process", (*_GUNICORN, *_WSGI),
        {**_web(2), "next": endpoints.NEXT}, acts.use_and_stop(workers=2, seconds=acts.STOP_LIMIT), prepare=endpoints.hang, then=_DELIVERED,
    ),
    Case(
        "denied-401", "The endpoint answers 401; the next process has the right token", _app("normal"), _AND_NEXT,
        env={"OTEL_EXPORTER_OTLP_HEADERS": "x-token=wrong"}, prepare=endpoints.answers_if(401, endpoints.without_token),
        then=endpoints.next_process(OTEL_EXPORTER_OTLP_HEADERS="x-token=right"), told=True,
    ),
    Case(
        "refused-at-first", "The endpoint refuses at first, and is back in mid-run", _app("in_two_parts"),
        {"line": 20, "after": 5}, endpoints.back_in_mid_run, prepare=endpoints.refuse, told=True,
    ),
    Case(
        "refused-in-mid-run", "The endpoint goes down in mid-run, and is back", _app("in_three_parts"), _THREE,
        endpoints.outage_in_mid_run(lambda sink: sink.refuse(), endpoints.said_refused), told=True,
    ),
    Case(
        "hanging-in-mid-run", "The endpoint hangs in mid-run, and is back", _app("in_three_parts"), _THREE,
        endpoints.outage_in_mid_run(lambda sink: sink.always(Hang()), endpoints.requests(1)),
    ),
    Case(
        "busy-in-mid-run", "The endpoint answers 503 with `Retry-After: 1` twice in mid-run", _app("in_three_parts"), _THREE,
        endpoints.outage_in_mid_run(lambda sink: sink.script(*[Answer(503, {"Retry-After": "1"})] * 2), endpoints.requests(2)),
        told=True,
    ),
    Case(
        "busy-for-long", "The endpoint answers 503 for 5 s in mid-run, `OTEL_EXPORTER_OTLP_TIMEOUT=2`", _app("in_three_parts"), _THREE,
        endpoints.outage_in_mid_run(lambda sink: sink.always(Answer(503)), endpoints.seconds(5)),
        env={"OTEL_EXPORTER_OTLP_TIMEOUT": "2"}, told=True,
    ),
    Case(
        "busy-503", "The endpoint answers 503 twice as the program ends, and the next process", _app("normal"), _AND_NEXT,
        prepare=endpoints.unavailable(503, 2), then=_DELIVERED,
    ),
    Case(
        "busy-429", "The endpoint answers 429 twice as the program ends, and the next process", _app("normal"), _AND_NEXT,
        prepare=endpoints.unavailable(429, 2), then=_DELIVERED,
    ),
    Case(
        "closed-once", "The endpoint closes a connection without an answer, then answers well", _app("normal"), _LINES,
        prepare=endpoints.closed_once,
    ),
    Case(
        "too-large-413", "The endpoint answers 413 to more than 3 records", _app("normal"), _LINES,
        prepare=endpoints.answers_if(413, endpoints.larger_than(3)),
    ),
    Case(
        "bad-400", "The endpoint answers 400 because of one line, and 19 can arrive", _app("normal"), _LINES,
        prepare=endpoints.answers_if(400, endpoints.with_line("line 7")), lost=1, dropped={"rejected": 1},
        check=acts.all_but("line 7"), told=True,
    ),
    Case(
        "kill-9-always", "kill -9 with `OTEL_LOGGING_SPOOL=always`, 20 lines long sent and 20 just made, and the next process",
        _app("killed"), {**_AND_NEXT, "late": 20}, acts.killed_after_the_window, -signal.SIGKILL,
        env={"OTEL_LOGGING_SPOOL": "always"}, killed=True, then=_DELIVERED, again=20,
    ),
    Case(
        "kill-9-always-down", "The endpoint is down: kill -9 with `OTEL_LOGGING_SPOOL=always`, and the next process",
        _app("killed"), {**_AND_NEXT, "late": 20}, acts.kill_itself, -signal.SIGKILL,
        env={"OTEL_LOGGING_SPOOL": "always"}, killed=True, prepare=endpoints.refuse, then=_DELIVERED,
    ),
    Case(
        "kill-9-always-hanging", "The endpoint never answers: kill -9 with `OTEL_LOGGING_SPOOL=always`, and the next process",
        _app("killed"), {**_AND_NEXT, "late": 20}, acts.kill_itself, -signal.SIGKILL,
        env={"OTEL_LOGGING_SPOOL": "always"}, killed=True, prepare=endpoints.hang, then=_DELIVERED,
    ),
    Case(
        "surrogate-in-a-message", "One line of 26 has a lone surrogate in its message", _app("surrogate_in_a_message"),
        {"line": 20, "bad": 1, "after": 5}, check=acts.repaired(body="caf\\udce9"),
    ),
    Case(
        "surrogate-in-an-extra", "One line of 26 has a lone surrogate in an extra", _app("surrogate_in_an_extra"),
        {"line": 20, "bad": 1, "after": 5}, check=acts.repaired(given="caf\\udce9"),
    ),
    Case(
        "integer-beyond-64-bits", "One line of 26 has an integer beyond 64 bits in an extra", _app("integer_beyond_64_bits"),
        {"line": 20, "bad": 1, "after": 5}, check=acts.repaired(given="18446744073709551616"),
    ),
)  # fmt: skip

GROUPS: Final = {
    "Ends": ENDS, "Exceptions nobody handles": UNHANDLED, "Births": BIRTHS, "Servers": SERVERS, "Queues": QUEUES,
    "Outages": OUTAGES,
}  # fmt: skip
CASES: Final = tuple(case for group in GROUPS.values() for case in group)
