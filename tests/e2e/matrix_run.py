"""Run one row of the matrix against a sink of its own, and judge what arrived: every line once, and the books balanced.

`run(case, …)` is for us, `run_official(case, …)` starts the same program under `opentelemetry-instrument` with the
official handler and only counts. What the rows are is `matrix`, what is done in them `matrix_acts`.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix import Case
from otlp_sink import DEADLINE, OtlpSink

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
_LINE = re.compile(r"(\w+) (\d+) pid=(\d+);( .*)?")
_PATIENCE = 12.0  # seconds for the official handler, which tries again for 10 s
_PREFIXES = {
    "run": (str(BIN / "otel-logging"), "run", "--"),
    "instrument": (str(BIN / "opentelemetry-instrument"),),
    "auto": (),
}


@dataclass(frozen=True)
class Counts:
    """What came of a row's lines."""

    emitted: int
    arrived: int  # each counted once
    twice: int  # arrived again


class Running:
    """One row in progress."""

    def __init__(self, case: Case, sink: OtlpSink, redis_socket: str | None, official: bool = False) -> None:
        self.case, self.sink = case, sink
        self.redis_socket = redis_socket
        self.official = official  # nothing is asserted of it
        self.process: Any = None  # the last one that was started
        self._started: list[Any] = []
        self._start: Any = None
        self.port = 0
        if any("PORT" in word for word in case.command):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]

    @property
    def socket(self) -> str:
        """Redis's."""
        assert self.redis_socket is not None
        return self.redis_socket

    def ready(self, launch: Any, prefix: tuple[str, ...], env: dict[str, str]) -> None:
        """From now on `start` starts programs by `launch`, with `prefix` before them and `env` around them."""
        if self.redis_socket is not None:
            env["WORK_SOCKET"] = self.redis_socket
        env["OTEL_EXPORTER_OTLP_ENDPOINT"] = self.sink.url

        def start(words: list[str], more: Mapping[str, str]) -> Any:
            return launch([*prefix, *words], how="none", env={**env, **more}, cwd=HERE / "apps")

        self._start = start

    def start(self, command: tuple[str, ...], env: Mapping[str, str]) -> None:
        """Start a program: the row's own, or the one after it."""
        words = [word.replace("PORT", str(self.port)).replace("SOCKET", str(self.redis_socket)) for word in command]
        self.process = self._start(words, {**self.case.env, **env})
        self._started.append(self.process)

    @property
    def err(self) -> str:
        """What all programs of the row wrote to stderr."""
        return "\n".join(one.err for one in self._started)

    def describe(self) -> str:
        """All that was printed and received, for an assertion's message."""
        return "\n".join([*(one.describe() for one in self._started), self.sink.describe()])

    # What acts ask.

    def until(self, condition: Any, what: str) -> Any:
        """Wait until `condition()` is true."""
        return self.process.until(condition, what)

    def said(self, pattern: str) -> int:
        """How many printed lines match."""
        return sum(re.search(pattern, line) is not None for line in self.process.printed)

    def until_said(self, line: str) -> None:
        """Wait until a numbered line has been printed."""
        self.until(lambda: self.said(rf"{line} pid="), line)

    def until_arrived(self, lines: int) -> None:
        """Wait until that many numbered lines have arrived. The official handler is given some time, and no more."""
        if not self.official:
            self.sink.wait_for(lambda: len(self.received()) >= lines, f"{lines} lines")
            return
        with contextlib.suppress(AssertionError):
            self.sink.wait_for(lambda: len(self.received()) >= lines, f"{lines} lines", _PATIENCE)

    def until_started(self, workers: int) -> None:
        """Wait until that many workers have said so."""
        self.until(lambda: self.said(r"startup \d+ pid=") >= workers, f"{workers} workers")

    def get(self, path: str) -> int:
        """Status of a GET, on a connection of its own; the first waits for the server."""

        def answer() -> int:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=DEADLINE) as found:
                    found.read()
                    return int(found.status)
            except ConnectionError:
                return 0
            except urllib.error.URLError as error:
                if isinstance(error.reason, ConnectionError):
                    return 0
                raise

        status: int = self.until(answer, "answer")
        return status

    def within(self, seconds: float) -> int:
        """Its exit code; it must have ended by then."""
        try:
            code: int = self.process.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s; {self.process.describe()}") from None
        return code

    # What arrived.

    def received(self) -> Counter[tuple[str, str]]:
        """The numbered lines that arrived, by kind and number."""
        found = (_LINE.fullmatch(str(body)) for body in self.sink.bodies())
        return Counter((match[1], match[2]) for match in found if match)

    def counts(self) -> Counts:
        """The same as figures."""
        received = self.received()
        return Counts(self.case.emitted, len(received), sum(received.values()) - len(received))


def run(case: Case, launch: Any, sink: OtlpSink, redis_socket: str | None, folder: Path) -> Counts:
    """Run a row with otel-logging, and assert all that it promises."""
    running = Running(case, sink, redis_socket)
    env = {
        "MATRIX_BOOKS": str(folder),
        "PYTHONPATH": str(HERE / "books"),
        "OTEL_LOGGING_STORE": str(folder / "store"),
        "OTEL_METRICS_EXPORTER": "none",
    }
    if case.how == "instrument":
        env |= {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    if case.how == "auto":
        env["BOOT_AUTO"] = "1"
    running.ready(launch, _PREFIXES[case.how], env)
    code = _drive(running)
    assert case.code is None or code == case.code, running.describe()
    if case.then is not None:
        case.then(running)
    # Where an outage lasts to the end there may have been no time to say so.
    if case.told or case.then is None:
        assert ("otel-logging" in running.err) == case.told, running.describe()
    assert sink.invalid == [], running.describe()
    _check_lines(running)
    if case.then is None:  # the next process sends what others made
        _check_connections(running)
    _check_books(running, folder)
    if case.check is not None:
        case.check(running)
    return running.counts()


def run_official(case: Case, launch: Any, sink: OtlpSink, redis_socket: str | None) -> Counts:
    """Run the same program with the official handler, and count."""
    running = Running(case, sink, redis_socket, official=True)
    env = {
        "OTEL_LOGGING": "off",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
    running.ready(launch, _PREFIXES["instrument"], env)
    try:
        _drive(running)
    except AssertionError:  # such as one that does not end within the stop limit
        running.process.kill()
    if case.then is not None:
        case.then(running)
    return running.counts()


def _drive(running: Running) -> int:
    case = running.case
    if case.prepare is not None:
        case.prepare(running)
    running.start(case.command, {})
    code: int = case.act(running)
    return code


def _check_lines(running: Running) -> None:
    """Each line has arrived, once."""
    case, received = running.case, running.received()
    twice = {line: count for line, count in received.items() if count > 1}
    assert len(twice) <= case.again, f"more than once: {twice}; {running.describe()}"
    kinds = Counter(kind for kind, _ in received)
    missing = Counter(case.emits) - kinds
    assert sum(missing.values()) <= case.lost, f"missing: {dict(missing)}; {running.describe()}"
    assert not kinds - Counter(case.emits), f"not in the table: {kinds - Counter(case.emits)}"


def _check_connections(running: Running) -> None:
    """No two processes share a connection."""
    users = defaultdict(set)
    for record in running.sink.records:
        match = _LINE.fullmatch(str(record.body))
        if match:
            users[record.connection].add(match[3])
    shared = {connection: pids for connection, pids in users.items() if len(pids) > 1}
    assert not shared, f"connections of several processes: {shared}"


def _check_books(running: Running, folder: Path) -> None:
    """Every process has balanced books; together they say what arrived, and what was left for the next was held."""
    case = running.case
    books = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    described = f"{books}; {running.describe()}"
    dropped: Counter[str] = Counter()
    for one in books:
        assert one["created"] == one["exported"] + one["held"] + sum(one["dropped"].values()), described
        assert case.then is not None or one["held"] == 0, described
        assert one["spool"]["adopted_dropped"] == 0, described
        dropped.update(one["dropped"])
    assert dropped == case.dropped, described
    adopted = sum(one["spool"]["adopted_delivered"] for one in books)
    delivered = sum(one["exported"] for one in books) + adopted
    if case.killed:  # what was killed left no books
        assert delivered <= len(running.sink.records), described
        return
    assert books, described
    assert adopted == sum(one["held"] for one in books), described
    assert delivered == len(running.sink.records), described
