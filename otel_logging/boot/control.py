"""Steering a running process: debug rules, changed policies and what other processes of a call have to say.

One light daemon thread looks about once a second at the control file, the policy files and the journal beside the
control file; a control URL is asked by a thread of its own. Forked children start theirs anew. What it finds is
outside data: what is wrong is said once and changes nothing.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_logging import ids, trouble
from otel_logging.boot import control_file
from otel_logging.boot.journal import TRIGGER_SECONDS, Event, Journal
from otel_logging.bridge.overrides import Overrides

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_logging.boot.control_url import Poller
    from otel_logging.boot.policy_files import PolicyFiles
    from otel_logging.bridge.overrides import Rule
    from otel_logging.bridge.pipeline import Pipeline
    from otel_logging.settings import Settings

FILE_NAME: Final = "control.json"
SECONDS: Final = 0.8  # between two looks: whatever is told is noticed within two seconds
_MAX_TOLD: Final = 256  # announcements that wait to be written

_Signature = tuple[int, ...]


def path_of(settings: Settings) -> Path | None:
    """The control file of a process with these settings; None for a URL, and where there is no store."""
    if settings.control is not None:
        return None if settings.control.startswith("https://") else Path(settings.control).expanduser()
    return settings.store / FILE_NAME if settings.store is not None else None


def journal_of(settings: Settings) -> Path | None:
    """Where processes with these settings tell each other of calls: beside the control file, else in the store."""
    path = path_of(settings)
    if path is not None:
        return path.with_name(path.stem + "-events.jsonl")
    return settings.store / "control-events.jsonl" if settings.store is not None else None


class Control:
    """What steers this process. `start` and `stop` it once.

    Args:
        settings: where the control document, the journal and the policy files are.
        overrides: given the debug rules.
        policies: the policy files to watch, None for none.
        trigger: told `(call id, reason)` of a call that another process of it saw go wrong.
    """

    def __init__(
        self,
        settings: Settings,
        overrides: Overrides,
        *,
        policies: PolicyFiles | None = None,
        trigger: Callable[[str, str], Any] | None = None,
    ) -> None:
        self.overrides = overrides
        self.trigger = trigger
        self._path = path_of(settings)
        self._signature: _Signature | None = None
        self._policies = policies if policies is not None and policies.paths else None
        where = journal_of(settings)
        self._journal = Journal(where) if where is not None else None
        self._unheard: str | None = None  # why the journal was refused last time
        self._told: deque[Event] = deque(maxlen=_MAX_TOLD)
        self._recent: dict[str, float] = {}
        self._poller: Poller | None = None
        if settings.control is not None and self._path is None:
            from otel_logging.boot.control_url import Poller

            self._poller = Poller(settings.control, settings.control_token, self._apply)
        self._stopped = False
        self._begin()

    def _begin(self) -> None:
        self._wake = threading.Event()
        self._turn = threading.Lock()  # one look at a time: the thread's and a flush's
        self._thread: threading.Thread | None = None

    def start(self, *, exports: bool) -> None:
        """Read what is there, and look again and again where anybody may change it.

        `exports`: whether this process has a destination, so that a folder that is not there yet may matter.
        """
        global _running
        _running = self
        self.look()
        folder = self._path.parent if self._path is not None else None
        if exports or self._policies is not None or self._poller is not None or (folder and folder.is_dir()):
            self._start_threads()

    def _start_threads(self) -> None:
        self._thread = threading.Thread(target=self._serve, name="otel-logging-control", daemon=True)
        # In a context of its own: the call in force where this is started is none of its business.
        contextvars.Context().run(self._thread.start)
        if self._poller is not None:
            self._poller.start()

    def stop(self) -> None:
        """Look no more, and take every rule out."""
        global _running
        if _running is self:
            _running = None
        self._stopped = True
        self._wake.set()
        if self._poller is not None:
            self._poller.stop()
        mine = self._turn.acquire(timeout=2.0)  # a look that is going on must not put back what is taken out here
        self.overrides.replace(())
        if mine:
            self._turn.release()

    def after_fork_in_child(self) -> None:
        """The threads did not come along; what waits to be told is the parent's to tell."""
        watched = self._thread is not None
        self._begin()
        self._told.clear()
        self._signature = None
        self.overrides.after_fork_in_child()
        if self._journal is not None:
            self._journal.renew()
        if watched:
            self._start_threads()

    def _serve(self) -> None:
        wake = self._wake
        while not self._stopped:
            wake.wait(SECONDS)
            wake.clear()
            self.look()

    def look(self) -> None:
        """One look at everything. Never raises."""
        with self._turn:
            if self._stopped:
                return
            for part in (self._read_rules, self._check_policies, self._exchange, self.overrides.tidy):
                try:
                    part()
                except Exception as error:  # noqa: PERF203 (each part on its own)
                    trouble.report("control", f"steering by the control file failed: {trouble.sentence(error)}")

    def _apply(self, rules: tuple[Rule, ...]) -> None:
        with self._turn:
            if not self._stopped:
                self.overrides.replace(rules)

    # The control file.

    def _read_rules(self) -> None:
        if self._path is None:
            return
        try:
            about, folder = self._path.lstat(), self._path.parent.lstat()
            its_own = (about.st_mtime_ns, about.st_size, about.st_ino, about.st_ctime_ns)
            # The folder's too: it may be what is wrong, and put right.
            found: _Signature | None = (*its_own, folder.st_mode, folder.st_uid, folder.st_ino)
        except (FileNotFoundError, NotADirectoryError):
            found = None
        except OSError as error:
            self._refuse((0, 0, 0, error.errno or -1), f"cannot be read ({error.strerror or type(error).__name__})")
            return
        if found == self._signature:
            return
        if found is None:
            self._signature = None
            self.overrides.replace(())
            return
        try:
            rules = control_file.read(self._path)
        except control_file.Refused as error:
            self._refuse(found, str(error))
        except OSError as error:
            self._refuse(found, f"cannot be read ({error.strerror or type(error).__name__})")
        else:
            self._signature = found
            self.overrides.replace(rules)

    def _refuse(self, found: _Signature, why: str) -> None:
        if found != self._signature:
            self._signature = found
            trouble.report("control", f"{self._path} {why}; the rules stay as they are")

    # The policies.

    def _check_policies(self) -> None:
        if self._policies is not None:
            self._policies.check()

    # The journal.

    def announce_trigger(self, call_sid: str, reason: str) -> None:
        """Tell the other processes of the call that its recorder was triggered. Quick; may be called anywhere."""
        now = time.monotonic()
        last = self._recent.get(call_sid)
        if not ids.is_call_id(call_sid) or (last is not None and now - last < 1.0):
            return
        if len(self._recent) >= _MAX_TOLD:
            self._recent.clear()
        self._recent[call_sid] = now
        self._tell(Event("trigger", call_sid, reason, time.time()))

    def claimed(self, rule: str, call_sid: str) -> None:
        """Tell the other processes that the call is one of those that a rule waits for."""
        self._tell(Event("claim", call_sid, rule, time.time()))

    def _tell(self, event: Event) -> None:
        self._told.append(event)
        self._wake.set()

    def flush(self, _millis: int = 0) -> bool:
        """Write what waits to be told: before the process ends. Nothing is awaited."""
        if self._told and self._turn.acquire(timeout=1.0):
            try:
                with contextlib.suppress(OSError, control_file.Refused):
                    self._write()
            finally:
                self._turn.release()
        return True

    def _write(self) -> None:
        events = []
        with contextlib.suppress(IndexError):
            while True:
                events.append(self._told.popleft())
        if events and self._journal is not None:
            self._journal.append(events)

    def _exchange(self) -> None:
        if self._journal is None:
            self._told.clear()
            return
        had_news = bool(self._told)
        try:
            self._write()
            news = self._journal.news()
        except (OSError, control_file.Refused) as error:
            self._cannot_exchange(error, had_news=had_news)
            return
        self._unheard = None
        claims: dict[str, list[str]] = {}
        for event in news:
            if event.kind == "claim":
                claims.setdefault(event.about, []).append(event.call)
            elif self.trigger is not None and time.time() - event.at < TRIGGER_SECONDS:
                self.trigger(event.call, event.about)
        if claims:
            self.overrides.agree(claims)

    def _cannot_exchange(self, error: Exception, *, had_news: bool) -> None:
        if isinstance(error, control_file.Refused):
            why = str(error) if isinstance(error, control_file.FolderRefused) else f"the journal {error}"
            if self._unheard == why:
                return  # said already, and asked again every second
            self._unheard = why
        elif had_news:
            why = str(error)
        else:
            trouble.count("control")  # a store that cannot be used says so itself when it is written to
            return
        trouble.report("control_journal", f"processes that share a call cannot tell each other of it: {why}")


_running: Control | None = None


def announce_trigger(call_sid: str, reason: str) -> None:
    """As `Control.announce_trigger`, for the process's own control; does nothing without one."""
    if _running is not None:
        _running.announce_trigger(call_sid, reason)


def install(
    settings: Settings,
    pipeline: Pipeline,
    *,
    is_quiet: Callable[[str], bool],
    policies: PolicyFiles | None = None,
    trigger: Callable[[str, str], Any] | None = None,
) -> Control:
    """Have `pipeline` steered as `settings` say, from now on."""
    overrides = Overrides(is_quiet=is_quiet)
    control = Control(settings, overrides, policies=policies, trigger=trigger)
    overrides.on_claim = control.claimed
    pipeline.overrides = overrides
    control.start(exports=pipeline.provider is not None)
    return control


def _after_fork_in_child() -> None:
    if _running is None:
        return
    try:
        _running.after_fork_in_child()
    except Exception as error:
        trouble.report("fork_failed", f"a forked child cannot be steered: {trouble.sentence(error)}")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
