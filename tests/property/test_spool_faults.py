"""The spool under faults: whatever happens, nothing that is intact is lost, nothing is duplicated, order is kept.

Processes come, log, end or are killed in the midst of a write; the disk fills up, bits flip, clocks jump, the endpoint
comes and goes, several processes take over at once. Everything but the endpoint is real: files, locks, requests.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordLimits, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_logging import trouble
from otel_logging.bridge.ledger import Ledger
from otel_logging.export import otlp_request
from otel_logging.export.answers import TAKEN, of_status, of_words
from otel_logging.export.courier import Courier
from otel_logging.export.entry import entry_of
from otel_logging.export.retry import Backoff
from otel_logging.export.spool import Spool
from otel_logging.export.spool_files import START, Clock, SpoolFile

_LIMITS = LogRecordLimits()
_PWRITE = os.pwrite


def record(body, who):
    made = LogRecord(
        body=body,
        timestamp=1,
        observed_timestamp=1,
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        context=Context(),
    )
    resource = Resource({"service.name": f"service-{who}"})
    return entry_of(ReadWriteLogRecord(made, resource, InstrumentationScope("log"), _LIMITS)).record


def flat(blob):
    """Body and service of each record of a request."""
    return [
        (record.body.string_value, resource.resource.attributes[0].value.string_value)
        for resource in otlp_request._request(blob).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


class Endpoint:
    """Takes records, or does not."""

    endpoint = "http://there"

    def __init__(self):
        self.headers = {}
        self.mode = "up"
        self.took = []

    def send(self, blob, seconds=None):
        if self.mode == "busy":
            return of_status(503)
        if self.mode == "gone":
            return of_words("connection refused")
        found = flat(blob)
        if self.mode == "small" and len(found) > 1:
            return of_status(413)
        self.took += found
        if self.mode == "once":
            self.mode = "busy"
        return TAKEN

    def close(self):
        pass

    def after_fork(self):
        pass


class Process:
    """What is left of a process when everything but its delivery is taken away."""

    def __init__(self, name, machine, write_ahead):
        self.name = name
        self.books = Ledger()
        self.made = 0
        self.write_ahead = write_ahead
        self.spool = Spool(machine.folder / "spool" / "there", "calls", file_bytes=1500, clock=machine.clock)
        # No pauses, and a look round each time.
        self.courier = Courier(
            machine.endpoint,
            spool=self.spool,
            write_ahead=write_ahead,
            batch_size=5,
            backoff=Backoff(clock=lambda: 1e12, share=lambda: 0.0),
        ).bind(self.books, lambda: False)
        self.courier._backoff.wait = lambda: 0.0

    def log(self, count):
        batch = []
        for _ in range(count):
            one = record(f"{self.name}:{self.made}", self.name)
            self.made += 1
            self.books.created()
            if not (not batch and not self.courier.in_flight and self.courier.ahead(one)):
                batch.append(one)
        if batch:
            self.courier.taken(len(batch))
            self.courier.send(batch)

    def resume(self):
        self.courier._look_at = 0.0
        self.courier.resume(force=True)

    @property
    def in_memory(self):
        """Records that are nowhere but in memory: a kill costs them."""
        found = {body for parcel in self.courier._stuck for body, _ in flat(parcel.rest())}
        assert len(found) == self.courier.in_flight
        return found


class SpoolMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp(prefix="spool-"))
        self.endpoint = Endpoint()
        self.wall = 1e9
        self.clock = Clock(lambda: self.wall, lambda: 1000.0, b"the-boot")
        self.live: list[Process] = []
        self.all: list[Process] = []
        self.damaged: set[str] = set()
        self.unsure: set[str] = set()  # were in memory only when their process was killed
        self.full = False
        os.pwrite = self.pwrite
        self.enter(True)

    def pwrite(self, fd, data, offset):
        if self.full and len(data) > 40:  # a cursor is written in place, and needs no room
            return _PWRITE(fd, data[: len(data) // 2], offset)
        return _PWRITE(fd, data, offset)

    @precondition(lambda self: len(self.live) < 3)
    @rule(write_ahead=st.booleans())
    def enter(self, write_ahead):
        self.live.append(Process(f"p{len(self.all)}", self, write_ahead))
        self.all.append(self.live[-1])

    def one(self, number):
        return self.live[number % len(self.live)]

    @precondition(lambda self: self.live)
    @rule(number=st.integers(0, 2), count=st.integers(1, 12))
    def log(self, number, count):
        process = self.one(number)
        if not process.courier.blocked:  # else they wait in the queue, which is not tested here
            process.log(count)

    @rule(mode=st.sampled_from(["up", "busy", "gone", "small", "once"]))
    def endpoint_changes(self, mode):
        self.endpoint.mode = mode

    @rule(full=st.booleans())
    def disk_changes(self, full):
        self.full = full

    @rule(years=st.sampled_from([-40, -1, 1, 40]))
    def clock_jumps(self, years):
        self.wall = max(self.wall + years * 365 * 86400, 0)

    @precondition(lambda self: self.live)
    @rule(number=st.integers(0, 2))
    def resume(self, number):
        self.one(number).resume()

    @precondition(lambda self: self.live)
    @rule(number=st.integers(0, 2))
    def end(self, number):
        process = self.one(number)
        process.courier._shelve()  # so that what is left in memory can be looked at
        self.unsure |= process.in_memory
        process.courier.give_up()
        process.courier.shutdown()
        process.spool.release()
        self.live.remove(process)

    @precondition(lambda self: self.live)
    @rule(number=st.integers(0, 2), torn=st.integers(0, 60))
    def kill(self, number, torn):
        process = self.one(number)
        self.unsure |= process.in_memory
        files = list(process.spool._files)
        if files and torn:  # in the midst of a write that had not returned
            last, full, self.full = files[-1], self.full, False
            payload = otlp_request.encode([record(f"{process.name}:torn", process.name)])
            _start, end = last.append(payload, 1)
            os.ftruncate(last.fd, max(end - torn, _start))
            self.full = full
        process.spool.release()
        self.live.remove(process)

    @rule(number=st.integers(0, 1000), place=st.integers(0, 1 << 20), bit=st.integers(0, 7))
    def flip(self, number, place, bit):
        """A bit of a file that nobody owns flips."""
        names = sorted(path.name for path in (self.folder / "spool" / "there").glob("*.spool"))
        if not names:
            return
        folder = os.open(self.folder / "spool" / "there", os.O_RDONLY)
        file = SpoolFile.take_over(folder, names[number % len(names)], self.clock)
        if file is not None:
            place %= file.committed
            offset = START
            while (frame := file.frame_at(offset)) is not None:
                if frame.start <= place < frame.end:
                    self.damaged.update(body for body, _ in flat(frame.payload))
                offset = frame.end
            # One fault a copy of the cursor: both at once is more than is promised.
            if place >= START or not getattr(self, "flipped_header", False):
                self.flipped_header = getattr(self, "flipped_header", False) or place < START
                good = os.pread(file.fd, 1, place)[0]
                _PWRITE(file.fd, bytes([good ^ (1 << bit)]), place)
            file.close()
        os.close(folder)

    @invariant()
    def nothing_twice(self):
        bodies = [body for body, _ in self.endpoint.took] if hasattr(self, "endpoint") else []
        assert len(bodies) == len(set(bodies))

    @invariant()
    def books_balance(self):
        for process in getattr(self, "live", ()):
            books = process.books.snapshot()
            held = process.courier.in_flight + process.spool.held
            assert books["created"] == books["exported"] + held + sum(books["dropped"].values())

    def teardown(self):
        try:
            if hasattr(self, "endpoint"):
                self.finish()
        finally:
            os.pwrite = _PWRITE
            trouble.reset()
            if hasattr(self, "folder"):
                for process in self.all:
                    process.spool.release()
                shutil.rmtree(self.folder)

    def finish(self):
        """The endpoint answers, the disk has room, a last process comes: now all must arrive."""
        self.endpoint.mode, self.full = "up", False
        last = Process("last", self, False)
        self.all.append(last)
        for process in [*self.live, last]:
            for _ in range(200):
                process.resume()
                if process.courier.due() != 0.0:
                    break
            process.courier.part()  # else a file that is written ahead to stays for the next record
            process.resume()
        bodies = [body for body, _ in self.endpoint.took]
        assert len(bodies) == len(set(bodies))
        made = {f"{process.name}:{n}" for process in self.all for n in range(process.made)}
        missing = made - set(bodies) - self.damaged - self.unsure
        assert not missing, missing
        for process in self.all:
            mine = [int(n) for name, n in (body.split(":") for body in bodies) if name == process.name and n != "torn"]
            assert mine == sorted(mine), (process.name, mine)
        # Resource kept: each came with that of the process that made it.
        assert all(service == f"service-{body.partition(':')[0]}" for body, service in self.endpoint.took)
        assert list((self.folder / "spool" / "there").glob("*.spool")) == []


SpoolMachine.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
TestSpool = SpoolMachine.TestCase
