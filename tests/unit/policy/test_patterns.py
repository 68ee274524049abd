"""RE2 as policies use it."""

from __future__ import annotations

import ast
import pathlib
import re
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logging.policy import patterns
from otel_logging.policy.patterns import BadPattern, PatternSet, check, translate


class TestCheck:
    @pytest.mark.parametrize("pattern", ["([bad", "a(?=b)", r"(a)\1", "*", "a{2000}", "\ud800"])
    def test_what_is_not_re2_is_refused(self, pattern):
        """A pattern that RE2 does not know raises BadPattern with a reason."""
        with pytest.raises(BadPattern, match=r"\w"):
            check(pattern)

    def test_nothing_is_printed(self, capfd):
        """A bad pattern is told by its exception alone; RE2's own lines on stderr stay off."""
        with pytest.raises(BadPattern):
            check("([bad")
        assert PatternSet(["a"]).search("b") == ()
        assert capfd.readouterr() == ("", "")


class TestTranslate:
    @pytest.mark.parametrize(
        ("kind", "hits", "misses"),
        [
            ("exact", ["a.b"], ["a.b\n", " a.b", "axb", "A.B"]),
            ("starts_with", ["a.b", "a.bc"], ["xa.b", "axb"]),
            ("ends_with", ["a.b", "xa.b"], ["a.bc", "a.b\n"]),
            ("contains", ["a.b", "xa.by", "x\na.b"], ["axb", ""]),
            ("regex", ["a.b", "axb", "xaxby"], ["a\nb"]),
        ],
    )
    def test_each_kind_finds_what_it_says(self, kind, hits, misses):
        """Literals are literal, anchors hold at the text's ends, and a regex may match anywhere."""
        found = PatternSet([translate(kind, "a.b", case_insensitive=False)])
        assert [text for text in hits + misses if found.search(text)] == hits

    @pytest.mark.parametrize("kind", ["exact", "starts_with", "ends_with", "contains", "regex"])
    @pytest.mark.parametrize(("wanted", "text"), [("Error", "eRRoR"), ("שלום", "שלום"), ("ÄRGER", "ärger")])
    def test_case_may_be_ignored(self, kind, wanted, text):
        """Ignoring case works for every kind and beyond ASCII."""
        assert PatternSet([translate(kind, wanted, case_insensitive=True)]).search(text)

    def test_case_is_ignored_in_every_alternative(self):
        """The flag covers a whole alternation, and a pattern that quotes to its end."""
        assert PatternSet([translate("regex", "ab|cd", case_insensitive=True)]).search("CD")
        assert PatternSet([translate("regex", r"\Qa.b", case_insensitive=True)]).search("A.B")


class TestNoOtherEngine:
    """Python's own engine backtracks, so it meets no pattern from outside."""

    TAKE_A_PATTERN = frozenset(
        {"compile", "search", "match", "fullmatch", "split", "findall", "finditer", "sub", "subn"}
    )

    def is_ours(self, node):
        """True for a pattern that stands in the code, or is put together from names in capitals."""
        if isinstance(node, ast.JoinedStr):
            return all(self.is_ours(part.value) for part in node.values if isinstance(part, ast.FormattedValue))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self.is_ours(node.left) and self.is_ours(node.right)
        return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id.isupper())

    def test_patterns_of_re_stand_in_the_code(self):
        """Every pattern that `re` is given is a constant of its module; those from files and people go to RE2."""
        package = pathlib.Path(patterns.__file__).parents[1]
        found, wrong = 0, []
        for path in sorted(package.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                called = node.func if isinstance(node, ast.Call) else None
                if not isinstance(called, ast.Attribute) or not isinstance(called.value, ast.Name):
                    continue
                if called.value.id == "re" and called.attr in self.TAKE_A_PATTERN:
                    found += 1
                    if not self.is_ours(node.args[0]):
                        wrong.append(f"{path.relative_to(package)}: {ast.unparse(node.args[0])}")
        assert found > 20
        # The scalars of YAML 1.2, in a loop over patterns that stand there.
        assert wrong == ["policy/load.py: f'(?:{pattern})\\\\Z'"]

    def test_nothing_takes_it_by_another_name(self):
        """`re` is imported as `re`, so that the test above sees what it is given."""
        package = pathlib.Path(patterns.__file__).parents[1]
        for path in package.rglob("*.py"):
            assert not re.search(
                r"^\s*(from re import|import re as|.*import_module\(.re.\))", path.read_text("utf-8"), re.MULTILINE
            )


class TestPatternSet:
    @given(
        st.lists(st.sampled_from(["a", "b+", "^c", "d$", "(?i)E", r"\d", "a.c", "x|y", "ש", "."]), min_size=1),
        st.text(),
    )
    def test_a_set_finds_what_each_pattern_finds_alone(self, chosen, text):
        """One scan for all gives the same answer as a scan for each."""
        together = sorted(PatternSet(chosen).search(text))
        alone = [number for number, pattern in enumerate(chosen) if PatternSet([pattern]).search(text)]
        assert together == alone

    def test_too_much_for_one_automaton_is_still_right(self, monkeypatch):
        """Where the common automaton does not fit, patterns are searched for one by one."""
        big = ["a{500}b{500}", "c{500}d{500}", "e"]
        monkeypatch.setattr(patterns, "_SET_MEMORY", 150_000)
        found = PatternSet(big)
        assert found._match is None
        assert list(found.search("xxexx")) == [2]

    def test_a_lone_surrogate_does_no_harm(self):
        """Text that UTF-8 cannot carry is searched all the same."""
        assert list(PatternSet(["abc"]).search("\ud800 abc")) == [0]

    @pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){12}$", "(a*)*b"])
    def test_hostile_text_is_matched_in_linear_time(self, pattern):
        """Patterns that make backtracking engines explode: ten times the text is not much more than ten times the work."""
        searched = PatternSet([pattern])
        replaced = patterns.Pattern(pattern)

        def work(size):
            text = "a" * size + "!"
            began = time.thread_time_ns()
            assert searched.search(text) == ()
            assert replaced.search(text) is None
            return time.thread_time_ns() - began

        work(1000)
        small, large = (min(work(size) for _ in range(5)) for size in (10_000, 100_000))
        assert large < 50 * small  # 10 where the work is linear, 100 where it is quadratic


SEARCHING_AT_THE_END = """
import threading
from otel_logging.policy import patterns

scan, one = patterns.PatternSet([f"a{number}.*b" for number in range(20)]), patterns.Pattern("a.*b")
begun = threading.Barrier(3)

def search(work):
    begun.wait()
    while True:
        work("a1" * 20_000)

threading.Thread(target=search, args=(scan.search,), daemon=True).start()
threading.Thread(target=search, args=(one.search,), daemon=True).start()
begun.wait()
"""


def test_a_thread_that_searches_when_the_interpreter_ends():
    """A daemon thread in RE2 does not turn the end of the process into an abort: C++ forbids how Python ends it."""
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", SEARCHING_AT_THE_END], capture_output=True, check=False, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, b"")


DELIVERED_AT_THE_END = """
import logging, sys
import otel_logging
from otel_logging.policy import patterns

patterns._wait = lambda: print("waited")
otel_logging.configure(logs_exporter="local", store=sys.argv[1], log_console="off", blrp_schedule_delay=60_000)
with otel_logging.call("CA" + "1" * 32):
    for number in range(100):
        logging.getLogger("server").warning(f"caller {chr(97 + number % 26) * (number // 26 + 1)} said something new")
"""


def test_what_is_delivered_at_the_end_is_searched_before(tmp_path):
    """Records that are delivered when the process ends are looked at without any wait: the last comes last."""
    command = [sys.executable, "-c", DELIVERED_AT_THE_END, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == (b"", b"")
    assert b"said something new" in b"".join(file.read_bytes() for file in (tmp_path / "logs").iterdir())
