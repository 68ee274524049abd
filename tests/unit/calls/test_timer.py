from __future__ import annotations

import threading

from otel_logging import trouble
from otel_logging.calls.timer import Timer


class TestTimer:
    def test_runs_in_order_of_time(self):
        """What is due earlier runs earlier, whatever the order of scheduling."""
        timer, seen, done = Timer(), [], threading.Event()
        timer.schedule(0.06, lambda: (seen.append("late"), done.set()))
        timer.schedule(0.02, lambda: seen.append("early"))
        assert done.wait(10)
        assert seen == ["early", "late"]

    def test_no_thread_before_the_first_task(self):
        """A process that schedules nothing has no thread of ours."""
        timer = Timer()
        assert timer._thread is None
        entry = timer.schedule(60, lambda: None)
        assert timer._thread.daemon
        entry.cancel()

    def test_cancelled_never_runs(self):
        """A cancelled task does not run, and one after it does."""
        timer, seen, done = Timer(), [], threading.Event()
        timer.schedule(0.01, lambda: seen.append("cancelled")).cancel()
        timer.schedule(0.02, done.set)
        assert done.wait(10)
        assert seen == []

    def test_failing_task_is_reported_and_the_thread_lives(self, capsys):
        """A task that raises costs one line on stderr; the next one runs."""
        timer, done = Timer(), threading.Event()
        timer.schedule(0, lambda: 1 / 0)
        timer.schedule(0.01, done.set)
        assert done.wait(10)
        assert trouble.counts() == {"timer_failed": 1}
        assert "ZeroDivisionError" in capsys.readouterr().err

    def test_cancelled_entries_do_not_pile_up(self):
        """Thousands of waits that were cancelled in time leave no heap behind."""
        timer = Timer()
        for _ in range(5000):
            timer.schedule(3600, lambda: None).cancel()
        assert len(timer._heap) < 200
        assert timer.pending() == 0

    def test_none_when_no_thread_can_start(self, monkeypatch):
        """At the interpreter's end the caller learns that nothing will run."""

        def refuse(self):
            raise RuntimeError("can't create new thread at interpreter shutdown")

        timer = Timer()
        monkeypatch.setattr(threading.Thread, "start", refuse)
        assert timer.schedule(1, lambda: None) is None
        assert timer.pending() == 0

    def test_idle_thread_ends_and_starts_again(self, monkeypatch):
        """The thread leaves when there is nothing to do, and comes back with the next task."""
        monkeypatch.setattr("otel_logging.calls.timer._IDLE_SECONDS", 0.01)
        timer, done = Timer(), threading.Event()
        timer.schedule(0, lambda: None)
        first = timer._thread
        if first is not None:
            first.join(10)
        assert timer._thread is None
        timer.schedule(0, done.set)
        assert done.wait(10)

    def test_cancel_after_the_run_does_nothing(self):
        """Cancelling what ran already changes nothing."""
        timer, done = Timer(), threading.Event()
        entry = timer.schedule(0, done.set)
        assert done.wait(10)
        entry.cancel()
        assert timer.pending() == 0
