"""The world that the recorder's state machine moves in: calls, lines of all makes, rule files, children, and a model.

The model is what was done: which line was logged in which call, by which thread, and what a failure owes. `World.check`
holds what came out against it. Moves themselves, and in which order they come, belong in `test_recorder_machine`; an
endpoint that is not always there, and what comes of that, in `outage_world`.
"""

from __future__ import annotations

import json
import logging
import os
import select
import shutil
import signal
import tempfile
import threading
import traceback
import warnings
from collections import Counter
from pathlib import Path

import otel_logging
from otel_logging import testing
from otel_logging.boot import steering
from otel_logging.boot.configure import configured
from otel_logging.bridge.overrides import Overrides, Rule

RECOVERED = "otel_logging.recovered"
TIGHT = "call=4KiB,process=16KiB"
ROOMY = "call=1MiB,process=8MiB"
CHILD_SECONDS = 30.0  # a child needs a hundredth of a second; one that hangs is a deadlock
CONSTANT = "[AUDIO_DELTA] the same each time"
log = logging.getLogger("server.machine")


def _logged_then_changed(level, n):
    argument = [n]
    log.log(level, "[AUDIO_DELTA] %s, bytes=%d", argument, n)
    argument.append("changed later")


# How applications write a line; each ends in its number.
SHAPES = {
    "f-string": lambda level, n: log.log(level, f"[AUDIO_DELTA] response_id=resp_1, bytes={n}"),
    "digits": lambda level, n: log.log(level, f"[AUDIO_DELTA] response_id=resp_{10 ** (n % 9)}, bytes={n}"),
    "template": lambda level, n: log.log(level, "[AUDIO_DELTA] response_id=%s late=%.2f, bytes=%d", "resp_1", n / 7, n),
    "mapping": lambda level, n: log.log(level, "[AUDIO_DELTA] id=%(id)s, bytes=%(n)d", {"id": None, "n": n}),
    "mutable": _logged_then_changed,
    "extra": lambda level, n: log.log(level, f"[AUDIO_DELTA] bytes={n}", extra={"n": n, "list": [n]}),
    "speech": lambda level, n: log.log(level, f"caller said something, number={n}"),
    "limited": lambda level, n: log.log(level, f"[LIMITED] number={n}"),
    "trouble": lambda level, n: log.log(level, f"the model does not answer, number={n}"),
    "unnamed": lambda level, n: log.log(level, f"zork blip, number={n}"),
    "unicode": lambda level, n: log.log(level, f"📞 [AUDIO_DELTA] שלום response_id=r, bytes={n}"),
}
TEXTS = {
    "f-string": lambda n: f"[AUDIO_DELTA] response_id=resp_1, bytes={n}",
    "digits": lambda n: f"[AUDIO_DELTA] response_id=resp_{10 ** (n % 9)}, bytes={n}",
    "template": lambda n: f"[AUDIO_DELTA] response_id=resp_1 late={n / 7:.2f}, bytes={n}",
    "mapping": lambda n: f"[AUDIO_DELTA] id=None, bytes={n}",
    "mutable": lambda n: f"[AUDIO_DELTA] [{n}], bytes={n}",
    "extra": lambda n: f"[AUDIO_DELTA] bytes={n}",
    "speech": lambda n: f"caller said something, number={n}",
    "limited": lambda n: f"[LIMITED] number={n}",
    "trouble": lambda n: f"the model does not answer, number={n}",
    "unnamed": lambda n: f"zork blip, number={n}",
    "unicode": lambda n: f"📞 [AUDIO_DELTA] שלום response_id=r, bytes={n}",
}


def _policy(name, text, keep):
    return {"id": name, "name": name, "log": {"match": [{"log_field": "body", "contains": text}], "keep": keep}}


RULES = {
    "limits": [_policy("limited", "[LIMITED]", "2/s")],
    "nothing": [],
    "drops more": [_policy("limited", "[LIMITED]", "1/10s"), _policy("speech", "caller said", "none")],
    "samples": [_policy("limited", "[LIMITED]", "40%")],
}
BROKEN = ["policies: [", json.dumps({"policies": [_policy("limited", "[LIMITED]", "bogus")]})]


class Line:
    """One line that was logged: its text, its call, the thread that logged it, and whether its call had a name."""

    __slots__ = ("level", "number", "sid", "text", "thread", "waited")

    def __init__(self, number, text, level, sid, thread, waited):
        self.number, self.text, self.level, self.sid = number, text, level, sid
        self.thread, self.waited = thread, waited


class World:
    """One captured process with a clock of its own, and everything that was done in it."""

    shapes, texts = SHAPES, TEXTS

    def __init__(self, recorder):
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.rules = self.folder / "rules.json"
        self.clock = testing.FakeClock()
        self.calls = []  # handles of open calls, with what each is to be named
        self.sids = []
        self.lines = {}  # by text
        self.constants = Counter()
        self.owed = set()  # texts that a failure must have brought out
        self.forgotten = False  # whether enough time went by for a call to be forgotten, and what it owes with it
        self._numbers = threading.Lock()
        self._number = 0
        self._written = 0
        self._write_rules(json.dumps({"policies": RULES["limits"]}))
        self.settings = {"recorder": recorder, "log_console": "off", "policies": f"voice,{self.rules}"}
        self.set_up()

    def set_up(self):
        """Set the process up to export to memory."""
        self.capture = testing.capture(clock=self.clock, **self.settings)
        self.sink = self.capture.__enter__()
        active = configured()
        self.files = steering.policy_files(active, active.pipeline)
        self.overrides = active.pipeline.overrides = Overrides(clock=self.clock)

    def take_down(self):
        """Undo `set_up`."""
        self.overrides.replace(())
        self.capture.__exit__(None, None, None)

    def close(self):
        """Take everything down."""
        self.take_down()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- doing things ---------------------------------------------------------------------------------------------

    def new_sid(self):
        """A name for one more call: rings that turn out to be one call's are given back one after the other."""
        self.sids.append(f"CA{len(self.sids) + 1:032x}")
        return self.sids[-1]

    def line(self, call, level, shape="f-string"):
        """Log one line of `call`, a handle (or None where `call()` opened it) and its name."""
        handle, sid = call
        with self._numbers:
            self._number += 1
            number = self._number
        text = self.texts[shape](number)
        waited = handle is not None and handle.call_sid is None
        self.made(Line(number, text, level, sid, threading.get_ident(), waited))
        self.shapes[shape](level, number)

    def made(self, line):
        """A line is about to be logged."""
        self.lines[line.text] = line

    def constant(self, call):
        """Log a line whose text is always the same."""
        self.constants[call[1]] += 1
        log.info(CONSTANT)

    def failed(self, sid):
        """The call has gone wrong: whatever it logged before is owed."""
        self.owed.update(line.text for line in self.lines.values() if line.sid == sid)

    def reload(self, name):
        """Other rules, by the way that a running process takes them."""
        self._write_rules(json.dumps({"policies": RULES[name]}))
        self.files.check()

    def break_rules(self, text):
        """A file that is broken: the rules stay as they were."""
        before = configured().pipeline.policies
        self._write_rules(text)
        self.files.check()
        assert configured().pipeline.policies is before, "a broken file is in force"

    def _write_rules(self, text):
        self._written += 1
        self.rules.write_text(text, encoding="utf-8")
        os.utime(self.rules, (1e9 + self._written, 1e9 + self._written))  # settled, and another time each time

    def debug(self, sid, level=logging.DEBUG):
        """Let a call's lines through, or all lines (None)."""
        expires = self.clock() + 30
        self.overrides.replace([Rule("machine", expires, call=sid, everything=sid is None, level=level)])

    def debug_off(self):
        """Let nothing through any more."""
        self.overrides.replace(())

    def in_threads(self, works):
        """Do everything at once, each in a thread of its own; what one raises is raised here."""
        start = threading.Barrier(len(works))
        problems = []

        def run(work):
            try:
                start.wait(CHILD_SECONDS)
                work()
            except BaseException:
                problems.append(traceback.format_exc())

        threads = [threading.Thread(target=run, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems, problems[0]

    def in_child(self, work):
        """Run `work()` in a forked child, which then ends; what it raises is raised here, and a hanging child too."""
        said = self.last_words_of(work)
        assert said == b"ok", said.decode()

    @staticmethod
    def last_words_of(work):
        """Run `work()` in a forked child: b"ok" if it came back, a traceback if it raised, nothing if it was killed."""
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is the point
            pid = os.fork()
        if not pid:
            said = b"ok"
            try:
                work()
            except BaseException:
                said = traceback.format_exc().encode()
            finally:
                os.write(writer, said[:60_000])
                os._exit(0)
        os.close(writer)
        try:
            assert select.select([reader], [], [], CHILD_SECONDS)[0], "the forked child hangs"
            with open(reader, "rb", closefd=False) as pipe:
                return pipe.read()
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(reader)

    # -- what must hold -------------------------------------------------------------------------------------------

    def check(self):
        """All that came out against all that was done."""
        self.sink.flush()
        records = self.sink.records
        stats = otel_logging.stats()
        testing.assert_balanced()
        found = [record for record in records if record.attributes.get(RECOVERED)]
        assert stats["recovered"] == len(found)
        self._are_whole(records)
        self._are_in_order(found)
        self._nothing_owed(records, stats)
        counted = Counter(record.call_sid for record in records if record.body == CONSTANT)
        for sid, number in counted.items():
            if sid is not None:
                assert number <= self.constants[sid], "given back twice, or another call's"

    def _are_whole(self, records):
        """Each line came out once, with its own call, trace, level and logger."""
        bodies = Counter(record.body for record in records)
        for record in records:
            line = self.lines.get(record.body)
            if line is None:
                continue
            assert bodies[record.body] == 1, f"exported {bodies[record.body]} times"
            assert record.level == logging.getLevelName(line.level)
            assert record.logger == log.name
            if record.call_sid is None and line.waited:
                continue  # its name came too late
            assert record.call_sid == line.sid
            assert record.trace_id == line.sid[2:]

    def _are_in_order(self, found):
        """What is given back comes in the order of its times, and of each thread's making."""
        for sid in self.sids:
            mine = [record for record in found if record.call_sid == sid]
            assert [record.timestamp for record in mine] == sorted(record.timestamp for record in mine)
            of_thread = {}
            for record in mine:
                if (line := self.lines.get(record.body)) is not None:
                    of_thread.setdefault(line.thread, []).append(line.number)
            for numbers in of_thread.values():
                assert numbers == sorted(numbers)

    def _nothing_owed(self, records, stats):
        """Where there was room for everything, a failure brought out all that its call had logged before."""
        recorder = configured().pipeline.recorder.stats()
        if self.forgotten or recorder["evicted"] or recorder["over_budget"]:
            return
        held_back = stats["dropped"].get("storm_guard", 0)
        missing = self.owed - {record.body for record in records}
        errors = {text for text in missing if self.lines[text].level >= logging.ERROR}
        assert len(errors) <= held_back, "an error was lost"
        assert not missing - errors, f"{len(missing - errors)} lines were not given back"
