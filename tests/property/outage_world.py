"""The world of `recorder_world` with a way out that may be shut: a scripted endpoint, a spool, processes that end or die.

Everything from the gate to the courier and its spool is the product's own, put together as `configure()` does it; only
the request itself is replaced. A `Life` is one process's: what it logged, and what of that reached the exporting side,
noted before and after it was taken there. What the endpoint took is in a file, which outlives all of them. `World.end`
holds the one against the other. Moves belong in `test_outage_machine`.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import signal
import threading
import time
from collections import Counter
from unittest import mock

from opentelemetry.sdk._logs import LogRecordProcessor
from outage_endpoint import FLUSH_SECONDS, MARK, Endpoint, is_recovered
from recorder_world import SHAPES, TEXTS, Line, World, log

import otel_logging
from otel_logging import settings, testing, trouble
from otel_logging.boot import configure, providers, steering
from otel_logging.boot.stand_ins import StandIns
from otel_logging.bridge.ledger import ledger
from otel_logging.bridge.overrides import Overrides
from otel_logging.export import otlp, spools

BATCH = 16
TRIGGER = "otel_logging.trigger"  # on what is given back, and on what passes for a while after that
_HUGE = "caller said a lot"  # too much for a small endpoint, and not so much that the recorder shortens it
_SETTLE_SECONDS = 20.0
# What may become of a record after it was handed over: with this endpoint and this disk nothing else.
_FATES = {"rejected", "too_large"}
_LOSSES = {
    "queue_full",
    "poison",
    "export_failed",
    "spool_full",
    "spool_expired",
    "spool_damaged",
    "shutdown",
    "internal_error",
    "held_delivery_failed",
    "no_destination",
}


# What an endpoint may refuse, beside the usual.
OWN_SHAPES = {
    **SHAPES,
    "marked": lambda level, n: log.log(level, f"{MARK} it is number={n}"),
    "huge": lambda level, n: log.log(level, f"{_HUGE} {'and more ' * 800}, number={n}"),
}
OWN_TEXTS = {
    **TEXTS,
    "marked": lambda n: f"{MARK} it is number={n}",
    "huge": lambda n: f"{_HUGE} {'and more ' * 800}, number={n}",
}


class Life:
    """One process: what it did, told in events that a child writes down as it goes."""

    def __init__(self, number):
        self.number = number
        self.killed = False
        self.lines = []
        self.handed = []  # thread, text, whether it is marked as recovered
        self.accepted = Counter()  # the same texts, when the exporting side had come back
        self.safe = Counter()  # of these, what was there before a flush that came back
        self.books = None
        self.file = None

    def note(self, kind, *what):
        """Something happens."""
        if self.file is not None:
            os.write(self.file, json.dumps([kind, *what]).encode() + b"\n")
        getattr(self, f"_{kind}")(*what)

    def read(self, path):
        """Everything that a child had noted."""
        for line in path.read_text(encoding="utf-8").splitlines():
            kind, *what = json.loads(line)
            getattr(self, f"_{kind}")(*what)

    def _made(self, *what):
        self.lines.append(Line(*what))

    def _handing(self, thread, text, mark):
        self.handed.append((thread, text, mark))

    def _taken(self, text):
        self.accepted[text] += 1

    def _flushing(self):
        self._before = Counter(self.accepted)

    def _flushed(self):
        self.safe = self._before

    def _ended(self, books):
        self.books = books


class _Tap(LogRecordProcessor):
    """Between the policies and the queue."""

    def __init__(self, world, inner):
        self._world, self._inner = world, inner
        self.held = inner.held

    def on_emit(self, log_record):
        record, life = log_record.log_record, self._world.life
        text = str(record.body)
        life.note("handing", threading.get_ident(), text, is_recovered(record))
        self._inner.on_emit(log_record)
        life.note("taken", text)

    def shutdown(self):
        self._inner.shutdown()

    def force_flush(self, timeout_millis=30_000):
        return self._inner.force_flush(timeout_millis)


class OutageWorld(World):
    """Processes of one destination, one after the other, and children beside them."""

    shapes, texts = OWN_SHAPES, OWN_TEXTS

    def __init__(self, recorder, spool):
        self.spool = spool
        self.lives = []
        self._theirs = {}  # lines of children: what fails here does not bring them out
        self.endpoint = None
        super().__init__(recorder)

    # -- processes ------------------------------------------------------------------------------------------------

    def _new_life(self):
        life = Life(len(self.lives))
        self.lives.append(life)
        return life

    def set_up(self, *, again=False):
        """A process begins; `again`: the one that is there is set up once more."""
        if self.endpoint is None:
            self.endpoint = Endpoint(self.folder)
        if not again:
            self.life = self._new_life()
            self.endpoint.life = self.life.number
        self.owed.clear()
        given = {
            **self.settings,
            "store": str(self.folder / "store"),
            "spool": self.spool,
            "blrp_schedule_delay": 2,
            "blrp_max_export_batch_size": BATCH,
        }
        with mock.patch.object(otlp, "build_sender", return_value=self.endpoint):
            self.courier = providers._courier(settings.read(given, {}))
        self.courier._clock = self.courier._backoff._clock = self.clock
        self.courier._backoff._share = lambda: 0.5
        self._undo = contextlib.ExitStack()
        self._undo.callback(testing._Logging().restore)
        self._undo.callback(testing._forget_calls)
        self._undo.enter_context(testing._clocks(self.clock))
        stand_ins = StandIns(self.courier, testing._Spans(), io.StringIO(), self.clock)
        self._undo.enter_context(configure.rehearsal(given, stand_ins))
        if not again:
            ledger.reset()
        active = configure.configured()
        (sampler,) = active.samplers
        sampler._processor = _Tap(self, sampler._processor)
        self.files = steering.policy_files(active, active.pipeline)
        self.overrides = active.pipeline.overrides = Overrides(clock=self.clock)

    def take_down(self, *, again=False, parting=False):
        """A process ends, after a flush of the usual kind; `again`: it is to be set up once more."""
        self.name_all()
        self.calls.clear()
        if self.endpoint.mode == "hangs":
            self.endpoint.becomes("refuses")
        self.flush()
        self.owes_nothing()
        if parting:
            configure.close(FLUSH_SECONDS)
        self._undo.close()
        self.balance()
        stats = otel_logging.stats()
        assert stats["held"] == stats["spool"]["held"], "something is held that is not on disk"
        if not again:
            self.life.note("ended", {name: stats[name] for name in ("exported", "dropped", "recovered", "spool")})
            spools.forget()
            ledger.reset()
            trouble.reset()

    def close(self):
        """Take down what is there, after a failure too."""
        with contextlib.suppress(Exception):
            self.endpoint.becomes("up")
            self._undo.close()
        spools.forget()
        ledger.reset()
        trouble.reset()
        shutil.rmtree(self.folder, ignore_errors=True)

    def name_all(self):
        """No call is left without its name."""
        for call, sid in self.calls:
            call.name(sid)

    def child(self, work, *, killed):
        """Run `work()` in a forked child with a life of its own, at the end of which it is killed, or ends well."""
        life = self._new_life()
        life.killed = killed
        path = self.folder / f"life-{life.number}"

        def run():
            life.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self.life, self.endpoint.life = life, life.number
            self._number = life.number * 1_000_000  # its lines are nobody else's
            self.lines, self.owed = {}, set()
            work()
            if killed:
                os.kill(os.getpid(), signal.SIGKILL)
            self.take_down(parting=True)

        said = self.last_words_of(run)
        assert said == (b"" if killed else b"ok"), said.decode()
        life.read(path)
        self._theirs.update((line.text, line) for line in life.lines)

    # -- doing things ---------------------------------------------------------------------------------------------

    def made(self, line):
        super().made(line)
        self.life.note("made", line.number, line.text, line.level, line.sid, line.thread, line.waited)

    def flush(self):
        """Have everything delivered, or put on disk. Whether it was delivered."""
        self._given_back()
        self.life.note("flushing")
        # What hangs is not waited for, but rescued.
        done = configure.force_flush(
            0.4 if self.endpoint.mode in {"hangs", "takes and says nothing"} else FLUSH_SECONDS
        )
        self.life.note("flushed")
        return done

    def _given_back(self):
        configure.configured().pipeline.recorder.flush(int(FLUSH_SECONDS * 1000))

    # -- what must hold -------------------------------------------------------------------------------------------

    def balance(self):
        """The books balance, once nothing is just on its way between two places."""
        until = time.monotonic() + _SETTLE_SECONDS
        while True:
            stats = otel_logging.stats()
            if stats["created"] == stats["exported"] + stats["held"] + sum(stats["dropped"].values()):
                return
            if time.monotonic() > until:
                testing.assert_balanced(stats)
            time.sleep(0.001)  # a worker counts

    def owes_nothing(self):
        """Failures have brought out what they owe, and no record was lost on its way out."""
        stats = otel_logging.stats()
        marked = sum(mark for _, _, mark in self.life.handed)
        assert stats["recovered"] == marked, "recovered records do not carry their marks"
        assert not _LOSSES & set(stats["dropped"]), stats["dropped"]
        if not self.forgotten:
            self._nothing_owed([_Body(text) for _, text, _ in self.life.handed], stats)

    def end(self):
        """The endpoint answers again, and a last process comes: now all must have arrived that was kept."""
        self.endpoint.becomes("up")
        self.clock.advance(1000)
        self.forgotten = True  # which all calls are by now
        self.name_all()
        assert self.flush(), "not delivered, although the endpoint answers"
        assert otel_logging.stats()["held"] == 0
        self.balance()
        self.take_down(parting=True)
        self.set_up()
        sid = self.new_sid()
        with otel_logging.call(sid):
            self.line((None, sid), logging.WARNING, "trouble")
        for _ in range(1000):
            assert self.flush()
            if not self.courier.spool.has_adopted and self.clock() < self.courier._look_at:
                break
        else:
            raise AssertionError("what other processes left is not delivered")
        self.take_down(parting=True)
        assert list((self.folder / "store").rglob("*.spool")) == []
        self._check(self.endpoint.taken())

    def _check(self, taken):
        self.lines.update(self._theirs)
        firsts = self._once(taken)
        self._are_whole(firsts)
        for record in firsts:
            if (line := self.lines.get(record.body)) is not None and line.level < logging.INFO:
                assert record.attributes.get(TRIGGER), "below the level, and nothing says why"
        arrived = Counter(str(record.body) for record in firsts)
        marks = {str(record.body): is_recovered(record) for record in firsts}
        missing = 0
        for life in self.lives:
            own = {line.text for line in life.lines}
            mine = [record for record in firsts if record.body in own]
            self._are_in_order([record for record in mine if is_recovered(record)])
            self._in_order_of(life, [record.body for record in mine])
            assert all(marks[text] == mark for _, text, mark in life.handed if text in own and text in marks)
            gone = [text for _, text, _ in life.handed if text in own and not arrived[text]]
            missing += len(gone)
            self._may_be_missing(life, [text for text in gone if not text.startswith((MARK, _HUGE))])
        if not any(life.killed for life in self.lives):
            books = [life.books for life in self.lives]
            dropped = sum(count for one in books for why, count in one["dropped"].items() if why in _FATES)
            dropped += sum(one["spool"]["adopted_dropped"] for one in books)
            assert missing == dropped, f"{missing} did not arrive, {dropped} are said to be dropped"
            told = sum(one["exported"] + one["spool"]["adopted_delivered"] for one in books)
            assert told == sum(len(records) for _, records in taken)
            # What is not a line of ours, such as the summaries of calls.
            handed = Counter(text for life in self.lives for _, text, _ in life.handed)
            assert sum(handed.values()) == told + dropped

    def _once(self, taken):
        """Records in the order of their first arrival. Twice comes only what a killed process had just sent."""
        last = {life: position for position, (life, _) in enumerate(taken)}
        where, firsts = {}, []
        for position, (_, records) in enumerate(taken):
            for record in records:
                if record.body not in self.lines:
                    continue
                before = where.setdefault(record.body, [])
                if not before:
                    firsts.append(record)
                before.append(position)
        for positions in where.values():
            for position in positions[:-1]:
                sender = taken[position][0]
                assert self.lives[sender].killed, "arrived twice"
                assert last[sender] == position, "arrived twice, although it had been answered"
        return firsts

    @staticmethod
    def _in_order_of(life, bodies):
        threads = {}
        for thread, text, _ in life.handed:
            threads.setdefault(thread, []).append(text)
        for handed in threads.values():
            came = [body for body in bodies if body in set(handed)]
            assert came == [text for text in handed if text in set(came)], "not in the order of their process"

    def _may_be_missing(self, life, gone):
        if not life.killed:
            assert not gone, f"{len(gone)} records were lost, such as {gone[0]!r}"
        elif self.spool == "always":
            lost = [text for text in gone if life.accepted[text]]
            assert not lost, f"{len(lost)} records were lost that were on disk, such as {lost[0]!r}"
        else:
            lost = [text for text in gone if life.safe[text]]
            assert not lost, f"{len(lost)} records were lost that had been handed over, such as {lost[0]!r}"


class _Body:
    __slots__ = ("body",)

    def __init__(self, body):
        self.body = body
