"""The flight recorder: what was dropped in a call is remembered, and given back when the call goes wrong.

Remembering happens in the thread that logged and must cost next to nothing; the rest happens on a background thread.
What goes wrong is told by records (`saw`), by calls (the events of `memory`) and from outside (`trigger_call`). Rings
are in `ring`, translation in `replay`, the policy file's words in `recorder_config`. Nothing here raises.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from time import time as seconds
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from otel_logging import trouble
from otel_logging.bridge import entries, fates, replay, translate
from otel_logging.bridge import memory as memories
from otel_logging.bridge.background import Background
from otel_logging.bridge.budget import Minute
from otel_logging.bridge.chunk import PER_RECORD, Entry
from otel_logging.bridge.place import NO_IDS
from otel_logging.bridge.replay import About
from otel_logging.bridge.ring import Ring
from otel_logging.bridge.room import Room

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_logging.bridge.memory import CallMemory
    from otel_logging.bridge.pipeline import Pipeline
    from otel_logging.bridge.recorder_config import Config
    from otel_logging.bridge.replay import Attic, Redact

LOGGER: Final = "otel_logging.recorder"
LONG: Final = 512  # characters; longer texts are counted at once
_UNCOUNTED: Final = 1200  # bytes that an entry takes until it is counted: a long one, as only a few are that long
_AS_EXPORTED: Final = 300  # bytes that an exported record takes beside its content: ids, names, marks
_UNNAMED_SECONDS: Final = 2.0  # a call that has gone wrong before it had a name: how long its records wait for one
_SUMMARY_SECONDS: Final = 60.0  # one line per call and minute about replays over the budget
_MAX_KNOWN: Final = 4096


class Recorder:
    """The flight recorder of this process.

    Args:
        pipeline: where messages are given back to.
        config: budgets and triggers.
        quiet: tells by name the libraries whose messages below their level are not remembered.
        about: the span id and the attributes of a named call, None where it is not known.
        attic: where rings go that nobody needed, None for nowhere.
        redact: applied to what goes into the attic or to the store alone; exporting processors redact for themselves.
        metered: False where nothing given back is paid for, as the local store is the only destination.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        config: Config,
        *,
        quiet: Callable[[str], bool],
        about: Callable[[str], tuple[int, Mapping[str, Any]] | None],
        find: Callable[[str], CallMemory | None],
        attic: Attic | None = None,
        redact: Redact | None = None,
        metered: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pipeline = pipeline
        self._config = config
        self._quiet = quiet
        self._about = about
        self._find = find
        self._attic = attic
        self._redact = redact
        self._metered = metered
        self._clock = clock
        self.lowest = config.lowest
        self._listening: dict[str, bool] = {}
        self._callbacks: list[Callable[[str, str], None]] = []
        self._background = Background()
        self._begin()
        self.remember = self._fast_remember()  # type: ignore[method-assign]
        self._unlisten = memories.listen(self._on_event)
        _recorders.add(self)

    def _begin(self) -> None:
        self.over_budget = 0
        books = self._pipeline.books
        self._room = Room(self._config.bytes_per_process, lambda entries: books.evicted("ring", entries))
        self._minute = Minute(self._config.replay_bytes_per_minute)

    def listens(self, logger: logging.Logger) -> bool:
        """Whether messages of this logger that are below its level are remembered: not those of quiet libraries."""
        found = self._listening.get(logger.name)
        if found is None:
            found = not self._quiet(logger.name)
            if len(self._listening) >= _MAX_KNOWN:
                self._listening.clear()
            self._listening[logger.name] = found
        return found and not logger.disabled

    def remember(
        self, memory: CallMemory, name: str, level: int, text: str, kwargs: Mapping[str, Any], reason: str | None
    ) -> None:
        """Keep a message that was dropped for `reason`, or that was below its level (None)."""
        raise NotImplementedError  # replaced in each instance by a function that looks nothing up

    def _fast_remember(self) -> Callable[..., None]:
        # A closure: attribute look-ups on `self` would be a fifth of the whole cost. No lock: see `ring`. What the gate
        # knows for a frame it remembers itself, with the same line of code.
        now, context, no_ring, roll, unusual = seconds, entries.context_getter(), self._ring_of, self.roll, _unusual

        def remember(
            memory: CallMemory, name: str, level: int, text: str, kwargs: Mapping[str, Any], reason: str | None
        ) -> None:
            ring = memory.ring
            if ring is None:
                ring = no_ring(memory)
            extras: tuple[Any, ...] = ()
            if kwargs or len(text) > LONG:
                text, extras = unusual(text, kwargs)
                if extras:
                    ring.rich = True
            current = context()
            ids = ring.ids if current is ring.context else ring.look(current)
            pending = ring.pending
            pending += (now(), text, (name, ids, (level, reason), None, extras))
            if len(pending) >= ring.full or len(text) > LONG:
                roll(ring)

        return remember

    def _ring_of(self, memory: CallMemory) -> Ring:
        with memory.lock:
            ring: Ring | None = memory.ring
            if ring is None:
                config = self._config
                # What is not rolled yet is not counted: with many calls at once it must stay little.
                together = config.bytes_per_process // (_UNCOUNTED * (self._room.number + 1))
                ring = Ring(memory, self._room, config.records_per_call, config.bytes_per_call, together)
                memory.ring = ring
            return ring

    def roll(self, ring: Ring) -> None:
        """Count what was added to a ring, and make room for it. Never raises."""
        try:
            if ring.roll():
                self._room.make()
        except Exception as error:
            trouble.report("recorder", f"remembered records could not be counted: {type(error).__name__}: {error}")

    def saw(self, memory: CallMemory, record: logging.LogRecord) -> None:
        """A record of the call is about to be sent; it may be one that triggers."""
        try:
            level = record.levelno
            if isinstance(level, (int, float)) and level >= self.lowest and self._triggers(record):
                self.trigger(memory, logging.getLevelName(level).lower())
        except Exception as error:
            trouble.report("recorder", f"a record could not be looked at: {trouble.sentence(error)}")

    def _triggers(self, record: logging.LogRecord) -> bool:
        def text() -> str:
            return translate.body_of(record)

        config = self._config
        return any(one.matches(record.levelno, record.name, text) for one in config.records) and not any(
            one.matches(record.levelno, record.name, text) for one in config.ignored
        )

    def trigger_call(self, call_sid: str, reason: str) -> bool:
        """The call has gone wrong in another process; True if it is known here. Tells nobody else."""
        memory = self._find(call_sid)
        if memory is None:
            return False
        self.trigger(memory, reason, tell=False)
        return True

    def on_trigger(self, callback: Callable[[str, str], None]) -> Callable[[], None]:
        """Have `callback(call_sid, reason)` called, on a background thread, when a call goes wrong in this process.

        Returns what ends that.
        """
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback) if callback in self._callbacks else None

    def trigger(self, memory: CallMemory, reason: str, *, tell: bool = True) -> None:
        """Give back what the call remembers, and let everything of it through for some seconds. Never raises.

        While the call is let through after an earlier trigger, nothing more happens.
        """
        try:
            now = self._clock()
            ring = self._ring_of(memory)
            with memory.lock:
                if ring.asked is not None or (memory.open_until > now and not len(ring)):
                    return
                if memory.call_sid is None and not memory.ended:
                    ring.asked = reason
                    self._open(memory, reason, now)
                    self._background.later(_UNNAMED_SECONDS, lambda: self._give_back_asked(memory))
                    return
                self._give_back(memory, ring, reason, now)
            if tell and memory.call_sid is not None and self._callbacks:
                self._background.submit(lambda: self._tell(memory.call_sid or "", reason))
        except Exception as error:
            trouble.report("recorder", f"a call could not be given back: {trouble.sentence(error)}")

    def _tell(self, call_sid: str, reason: str) -> None:
        for callback in tuple(self._callbacks):
            try:
                callback(call_sid, reason)
            except Exception as error:  # noqa: PERF203 (each callback on its own)
                trouble.report("recorder", f"other processes were not told of a trigger: {type(error).__name__}")

    def _open(self, memory: CallMemory, reason: str, now: float) -> None:
        if not memory.ended:
            memory.open(now + self._config.seconds_after, reason)

    def _give_back_asked(self, memory: CallMemory) -> None:
        """A call that went wrong before it had a name has one now, or will have none."""
        with memory.lock:
            ring: Ring | None = memory.ring
            if ring is None or ring.asked is None:
                return
            reason, ring.asked = ring.asked, None
            self._give_back(memory, ring, reason, self._clock())
        if memory.call_sid is not None and self._callbacks:
            self._tell(memory.call_sid, reason)

    def _give_back(self, memory: CallMemory, ring: Ring, reason: str, now: float) -> None:
        ring.roll()
        if self._pipeline.provider is None and self._attic is None:
            return  # nowhere to give it back to
        size = ring.content + ring.records * _AS_EXPORTED
        replays = ring.replays >= self._config.replays_per_call
        if self._pipeline.provider is None or (self._metered and (replays or not self._minute.take(size, now))):
            self._over(memory, ring, reason, now)
            return
        ring.replays += 1
        self._open(memory, reason, now)
        taken = ring.take()
        if taken:
            _count(memory, len(taken))  # now: the call may end, and its summary be written, before they are all sent
            self._background.submit(lambda: self._replay(memory, taken, reason))

    def _replay(self, memory: CallMemory, taken: list[Entry], reason: str) -> None:
        if self._attic is not None and memory.call_sid is not None:
            self._attic.discard(memory.call_sid)
        done = replay.replay(self._pipeline, taken, self._about_call(memory), reason, self._background)
        if done < len(taken):
            _count(memory, done - len(taken))
        self._pipeline.books.recovered(done)

    def _about_call(self, memory: CallMemory) -> About:
        sid = memory.call_sid
        if sid is None:
            return About()
        span_id, attributes = self._about(sid) or (0, {})
        return About(sid, memory.trace_id, span_id, attributes)

    def admits(self, memory: CallMemory, text: str) -> bool:
        """Whether a message that is not wanted passes, as its call went wrong a moment ago. Charged to the budget."""
        now = self._clock()
        if memory.open_until <= now:
            memory.open_until = 0.0
            return False
        if self._metered and not self._minute.take(len(text) + PER_RECORD + _AS_EXPORTED, now):
            memory.open_until = 0.0  # it is remembered again, for a trigger in better times
            return False
        return True

    def _over(self, memory: CallMemory, ring: Ring, reason: str, now: float) -> None:
        """No budget for a replay: to the local store alone where there is one, else the ring stays as it is."""
        number = len(ring)
        if not number:
            return
        first = ring.summed_up < 0 or now - ring.summed_up >= _SUMMARY_SECONDS
        if first:
            ring.summed_up = now
        self.over_budget += number
        attic, taken = self._attic, ring.take() if self._attic is not None else []

        def job() -> None:
            about = self._about_call(memory)
            stored = attic is not None and attic.to_store(
                replay.page(taken, about, self._pipeline.resource, self._redact), reason
            )
            if stored and memory.call_sid is not None and attic is not None:
                attic.discard(memory.call_sid)
            if first and self._pipeline.provider is not None:
                what = "went to the local store only" if stored else "stay in memory and are not exported"
                self._say(memory, about, reason, f"{number} remembered records of the call {what}: ")

        self._background.submit(job)

    def _say(self, memory: CallMemory, about: About, reason: str, what: str) -> None:
        config = self._config
        ring: Ring | None = memory.ring
        spent = (
            f"the call was given back {ring.replays} times"
            if ring is not None and ring.replays >= config.replays_per_call
            else f"{config.replay_bytes_per_minute} bytes a minute were given back"
        )
        entry = Entry(time_ns(), f"flight recorder: {what}{spent}", LOGGER, NO_IDS, (logging.WARNING, None), ())
        made = replay.log_record(entry, about, reason)
        if isinstance(made.attributes, dict):
            del made.attributes[translate.RECOVERED]
        self._pipeline.give_back(LOGGER, made, None)

    def _on_event(self, event: str, memory: CallMemory, argument: Any) -> None:
        ring: Ring | None = memory.ring
        if event == "failed":
            if argument in self._config.events:
                self.trigger(memory, argument)
        elif event == "named":
            if ring is not None and ring.asked is not None:
                self._background.submit(lambda: self._give_back_asked(memory))
        elif event == "absorbed":
            self._absorbed(memory, argument)
        elif event == "ended":
            if ring is not None:
                ring.let_go()
                fates.let_go(memory)
                self._background.submit(lambda: self._ended(memory))
        elif event == "forgotten" and ring is not None:
            ring.forget()

    def _absorbed(self, memory: CallMemory, other: CallMemory) -> None:
        theirs: Ring | None = other.ring
        if theirs is None:
            return
        ring = self._ring_of(memory)
        if other.open_until > memory.open_until:
            memory.open(other.open_until, other.open_reason)
        ring.merge(theirs)
        if ring.asked is not None:
            self._background.submit(lambda: self._give_back_asked(memory))

    def _ended(self, memory: CallMemory) -> None:
        """On the background thread: the ring goes to the attic, and stays here for late errors until forgotten."""
        ring: Ring | None = memory.ring
        if ring is None:
            return
        if ring.asked is not None:
            self._give_back_asked(memory)
        if self._attic is None or memory.call_sid is None:
            return
        remembered = ring.copy()
        if remembered:
            self._attic.put(replay.page(remembered, self._about_call(memory), self._pipeline.resource, self._redact))

    def stats(self) -> dict[str, int]:
        """Figures that are no part of the balance: what is remembered now, and what became of the rest."""
        rings = self._room.rings()
        return {
            "remembered": sum(len(ring) for ring in rings),
            "remembered_bytes": self._room.bytes,
            "evicted": self._room.evicted,
            "over_budget": self.over_budget,
        }

    def flush(self, millis: int) -> bool:
        """Finish replays and what is on its way to the attic, within `millis` milliseconds."""
        return self._background.flush(millis / 1000)

    def close(self) -> None:
        """Forget everything and listen no more."""
        self._unlisten()
        for ring in self._room.rings():
            ring.forget()
            _let_go(ring)

    def after_fork_in_child(self) -> None:
        """What the parent remembers is the parent's to give back."""
        for ring in self._room.rings_after_fork():
            if (memory := _let_go(ring)) is not None:
                memory.lock = threading.RLock()  # a thread that did not come along may have held it
        self._begin()
        self.remember = self._fast_remember()  # type: ignore[method-assign]


def _unusual(text: str, kwargs: Mapping[str, Any]) -> tuple[str, Any]:
    """A message with extras or a long text, as it is remembered."""
    return entries.cut(text), entries.flat(kwargs) if kwargs else ()


def _count(memory: CallMemory, recovered: int) -> None:
    with memory.lock:
        memory.counts["recovered"] = memory.counts.get("recovered", 0) + recovered


def _let_go(ring: Ring) -> CallMemory | None:
    memory = ring.memory()
    if memory is not None:
        fates.let_go(memory)  # or messages would still go where they went
        memory.shut()
        memory.ring, memory.open_until = None, 0.0
    return memory


_recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for one in list(_recorders):
        one.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
