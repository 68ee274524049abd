"""print() as records: which text becomes lines, and what is left to the original."""

from __future__ import annotations

import builtins
import contextlib
import io
import logging
import os
import subprocess
import sys
import textwrap
import threading

import pytest
from _pytest.capture import CaptureIO

from otel_logging import trouble
from otel_logging.boot import prints
from otel_logging.bridge.scope import current

original = builtins.print


class Scope:
    """As little of a call as `current` needs here."""


class Sys:
    """`sys` as print sees it here: what pytest puts in the place of stdout is the process's own, a redirection is not."""

    @property
    def stdout(self):
        return sys.stdout

    @property
    def __stdout__(self):
        return sys.stdout if isinstance(sys.stdout, CaptureIO) else None


@pytest.fixture
def written(capsys, monkeypatch):
    """Returns what was really written to stdout since it was last asked."""
    monkeypatch.setattr(prints, "sys", Sys())
    return lambda: capsys.readouterr().out


@pytest.fixture
def lines(written):
    found: list[str] = []
    prints.install(lambda line, _level: found.append(line))
    yield found
    prints.uninstall()
    assert builtins.print is original


class TestLines:
    def test_one_line(self, lines, written):
        """A printed line is emitted once and not written."""
        print("call", 7, None)
        assert lines == ["call 7 None"]
        assert written() == ""

    def test_separator_and_end(self, lines):
        """Both sep and end are honoured as print does."""
        print("a", "b", sep="|", end="!\n")
        print("c", "d", sep=None, end=None)
        assert lines == ["a|b!", "c d"]

    def test_several_lines(self, lines):
        """Text with newlines is a record a line, empty lines dropped."""
        print("one\n\n  two\r\n   \nthree")
        print()
        assert lines == ["one", "  two", "three"]

    def test_partial(self, lines):
        """Partial prints are joined until their newline."""
        print("wait", end="", flush=True)
        print(" ...", end="")
        assert lines == []
        print(" done\nnext", end="")
        assert lines == ["wait ... done"]
        prints.drain()
        assert lines == ["wait ... done", "next"]

    def test_partial_is_bounded(self, lines):
        """A line that never ends goes out at 64 Ki characters."""
        for _ in range(65):
            print("x" * 1024, end="")
        assert [len(line) for line in lines] == [65 * 1024]

    def test_unfinished_lines_are_bounded(self, lines):
        """Beyond 256 unfinished lines the oldest goes out as it is."""
        scopes = [Scope() for _ in range(257)]
        for number, scope in enumerate(scopes):
            token = current.set(scope)
            print(number, end="")
            current.reset(token)
        assert lines == ["0"]

    def test_threads_do_not_mix(self, lines):
        """Partial lines of two threads stay apart."""
        print("main ", end="")
        thread = threading.Thread(target=lambda: (print("thread ", end=""), print("line")))
        thread.start()
        thread.join()
        print("line")
        assert lines == ["thread line", "main line"]

    def test_calls_do_not_mix(self, written):
        """Partial lines of two calls on one thread stay apart, and leftovers go out in their own call."""
        found = []
        one, two = Scope(), Scope()
        prints.install(lambda line, _level: found.append((line, current.get())))
        for scope, text in ((one, "one"), (two, "two")):
            token = current.set(scope)
            print(text, end="")
            current.reset(token)
        token = current.set(two)
        print(" ends")
        current.reset(token)
        prints.uninstall()
        assert found == [("two ends", two), ("one", one)]

    def test_flush(self, lines, written, monkeypatch):
        """flush=True flushes the process's stdout, where the console's lines are."""
        flushed = []
        monkeypatch.setattr(sys.stdout, "flush", lambda: flushed.append(1))
        print("x", flush=True)
        print("y")
        assert flushed == [1]

    def test_a_reencoded_stdout(self, capfd, monkeypatch):
        """An application that re-wraps stdout for its encoding is still captured."""
        found = []
        with open(os.dup(1), "wb") as keep, io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "utf-8") as stream:
            monkeypatch.setattr(sys, "stdout", stream)
            prints.install(lambda line, _level: found.append(line))
            print("שלום")
            prints.uninstall()
            keep.flush()
        assert found == ["שלום"]
        assert capfd.readouterr().out == ""


class TestUntouched:
    def test_other_files(self, lines, written, capsys):
        """print(file=…) elsewhere, and to stderr, is as ever."""
        other = io.StringIO()
        print("x", file=other)
        print("y", file=sys.stderr)
        assert other.getvalue() == "x\n"
        assert capsys.readouterr().err == "y\n"
        assert lines == []

    def test_stdout_by_name(self, lines):
        """print(file=sys.stdout) is stdout."""
        print("x", file=sys.stdout)
        assert lines == ["x"]

    def test_redirected(self, lines):
        """redirect_stdout gets its text."""
        with contextlib.redirect_stdout(io.StringIO()) as target:
            print("x")
        assert target.getvalue() == "x\n"
        assert lines == []

    def test_sys_stdout_write(self, lines, written):
        """sys.stdout.write is not captured."""
        sys.stdout.write("x\n")
        assert written() == "x\n"
        assert lines == []

    def test_no_stdout(self, lines, monkeypatch):
        """A process without stdout prints nothing, as ever."""
        monkeypatch.setattr(sys, "stdout", None)
        print("x")
        assert lines == []

    @pytest.mark.parametrize("options", [{"sep": 1}, {"end": 1}, {"colour": "red"}])
    def test_wrong_arguments(self, lines, options):
        """Wrong arguments raise what print raises."""
        with pytest.raises(TypeError) as expected:
            original("x", file=io.StringIO(), **options)
        with pytest.raises(TypeError) as raised:
            print("x", **options)
        assert str(raised.value) == str(expected.value)

    def test_raising_str(self, lines):
        """An object that cannot be rendered raises to the caller; what was printed before it stays printed."""

        class Bad:
            def __str__(self):
                raise KeyError("bad")

        with pytest.raises(KeyError):
            print("before", Bad())
        print("after")
        assert lines == ["before after"]


class TestTrouble:
    def test_emit_fails(self, written, capsys):
        """A line that cannot be emitted is printed, and one line says so."""
        trouble.reset()

        def fail(_line, _level):
            raise RuntimeError("no")

        prints.install(fail)
        print("one\ntwo")
        prints.uninstall()
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("one\ntwo\n", 1)
        assert trouble.counts()["print_capture_failed"] == 2

    def test_emit_prints(self, written):
        """A handler that prints does not feed itself."""
        prints.install(lambda line, _level: print("handled", line))
        print("x")
        prints.uninstall()
        assert written() == "handled x\n"

    def test_str_prints(self, lines):
        """A line printed while another is rendered is a line too."""

        class Chatty:
            def __str__(self):
                print("inner")
                return "outer"

        print(Chatty())
        assert lines == ["inner", "outer"]

    def test_call_site(self, written, caplog):
        """The stacklevel names the application's print call."""
        caplog.set_level(logging.INFO)
        prints.install(lambda line, level: logging.getLogger("print").info(line, stacklevel=level))
        print("x")
        prints.uninstall()
        (record,) = caplog.records
        assert (record.pathname, record.funcName) == (__file__, "test_call_site")


class TestReplacedPrint:
    def test_wrapped_after(self, lines, monkeypatch):
        """An application that wraps print later is emitted once, as it printed."""
        ours = builtins.print
        monkeypatch.setattr(builtins, "print", lambda *args, **kw: ours("app:", *args, **kw))
        print("x")
        monkeypatch.undo()
        assert lines == ["app: x"]

    def test_wrapped_before(self, written, monkeypatch):
        """A print that the application had replaced before is emitted once, as it printed."""
        found = []
        monkeypatch.setattr(builtins, "print", lambda *args, **kw: original("app:", *args, **kw))
        prints.install(lambda line, _level: found.append(line))
        print("x")
        prints.uninstall()
        assert found == ["app: x"]
        assert written() == ""

    def test_silenced_before(self, written, monkeypatch):
        """An application that had silenced print stays silent."""
        found = []
        monkeypatch.setattr(builtins, "print", lambda *_args, **_kw: None)
        prints.install(lambda line, _level: found.append(line))
        print("x")
        prints.uninstall()
        assert found == []

    def test_one_without_file(self, written, monkeypatch, capsys):
        """A replaced print that takes no file is left alone, and one line says so."""
        trouble.reset()
        found = []

        def mine(*args):
            original(*args)

        monkeypatch.setattr(builtins, "print", mine)
        prints.install(lambda line, _level: found.append(line))
        assert builtins.print is mine
        print("x")
        prints.uninstall()
        out, err = capsys.readouterr()
        assert (found, out) == ([], "x\n")
        assert "left alone" in err

    def test_uninstall_beneath_a_wrapper(self, written, monkeypatch):
        """Uninstalled beneath somebody's wrapper, ours only passes on, and works again after a new install."""
        found = []
        prints.install(lambda line, _level: found.append(line))
        ours = builtins.print
        builtins.print = lambda *args, **kw: ours("app:", *args, **kw)
        try:
            prints.uninstall()
            print("x")
            prints.install(lambda line, _level: found.append(line))
            print("y")
        finally:
            builtins.print = ours
            prints.uninstall()
        assert (written(), found) == ("app: x\n", ["app: y"])


def test_install_twice(lines):
    """A second install exchanges emit and wraps nothing again."""
    ours, other = builtins.print, []
    prints.install(lambda line, _level: other.append(line))
    assert builtins.print is ours
    print("x")
    assert (lines, other) == ([], ["x"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_fork():
    """A forked child does not repeat its parent's unfinished line."""
    script = """
        import os
        from otel_logging.boot import prints
        prints.install(lambda line, level: os.write(1, (line + "\\n").encode()))
        print("parent", end="")
        pid = os.fork()
        if pid == 0:
            print("child")
            os._exit(0)
        os.waitpid(pid, 0)
        prints.uninstall()
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "child\nparent\n"
