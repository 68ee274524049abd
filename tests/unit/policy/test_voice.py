"""The bundled voice set against the guide's own list: what is always logged, what is suppressed, what is limited."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from otel_logging.policy.engine import KEPT, PolicySet
from otel_logging.policy.load import load
from otel_logging.policy.view import LogView

INFO, WARN = 9, 13
GUIDE = yaml.safe_load((Path(__file__).parent / "guide_lines.yaml").read_text(encoding="utf-8"))
KEPT_LINES = [(kind, line) for kind, lines in GUIDE["kept"].items() for line in lines]
DROPPED_LINES = [(kind, line) for kind, lines in GUIDE["dropped"].items() for line in lines]
LIMITED = list(GUIDE["limited"].items())
ALL_LINES = [line for _, line in KEPT_LINES + DROPPED_LINES] + [line for _, lines in LIMITED for line in lines]
VOICE = load(["voice"])


@pytest.fixture(scope="module")
def compiled():
    return PolicySet(VOICE.policies)


@pytest.fixture
def now():
    return [1000.0]


@pytest.fixture
def policies(now):
    return PolicySet(VOICE.policies, clock=lambda: now[0])


def matched(policies, line, severity=INFO):
    return [one.id for one in policies.match(LogView(line, severity, "INFO"))]


class TestGuide:
    def test_set_loads_without_a_word(self):
        """The bundled set has no error and no notice, and all of it is in force."""
        assert VOICE.errors == []
        assert len(PolicySet(VOICE.policies)) == len(VOICE.policies)

    @pytest.mark.parametrize(("kind", "line"), KEPT_LINES)
    def test_always_logged_lines_stay(self, compiled, kind, line):
        """A line that the guide always logs is kept at INFO: nothing matches it, save a barge-in's own limit."""
        assert matched(compiled, line) in ([], ["barge-in"])

    @pytest.mark.parametrize(("kind", "line"), DROPPED_LINES)
    def test_suppressed_lines_go(self, compiled, kind, line):
        """A line that the guide suppresses is dropped at INFO."""
        assert not compiled.evaluate(LogView(line, INFO, "INFO")).keep

    @pytest.mark.parametrize(
        "prefix", ["🔊 ", "🎙️", "  ", "[INFO] ", "[INFO] ✅ ", "INFO: ", "[CA0123abc] ", "12:30:01.250 ", "-> "]
    )
    def test_what_stands_before_a_tag_changes_nothing(self, compiled, prefix):
        """Emoji, levels, times and other tags before a line leave its verdict as it was."""
        changed = [line for _, line in DROPPED_LINES if not matched(compiled, prefix + line)]
        changed += [line for kind, line in KEPT_LINES if matched(compiled, prefix + line) not in ([], ["barge-in"])]
        assert changed == []

    def test_a_tag_may_be_written_in_any_case(self, compiled):
        """Upper and lower case name the same frames."""
        assert [line for _, line in DROPPED_LINES if not matched(compiled, line.lower())] == []
        assert [line for _, line in DROPPED_LINES if not matched(compiled, line.upper())] == []

    def test_everything_stays_at_debug(self):
        """With the frame policies off, as at LOG_LEVEL=DEBUG, nothing is dropped, however often it comes."""
        policies = PolicySet(VOICE.policies, frame_policies=False)
        assert {policies.evaluate(LogView(line, INFO, "INFO"), "CA1") for line in ALL_LINES * 2} == {KEPT}

    def test_warnings_and_above_stay(self, compiled):
        """No frame policy touches WARN and above, whatever the line says."""
        assert all(compiled.evaluate(LogView(line, WARN, "WARN")).keep for line in ALL_LINES * 2)
        assert all(compiled.evaluate(LogView(line, 0, "ERROR")).keep for line in ALL_LINES)

    def test_text_path_and_view_path_agree(self, compiled):
        """The short cut for text takes the same verdicts as the full view."""
        assert compiled.text_only
        for line in ALL_LINES:
            assert compiled.match_text(line, INFO, "INFO") == compiled.match(LogView(line, INFO, "INFO"))


class TestLimits:
    @pytest.mark.parametrize(("kind", "lines"), LIMITED)
    def test_one_event_told_often_is_logged_once_a_call(self, policies, kind, lines):
        """Of one call's repetitions the first stays; another call has its own first."""
        assert [policies.evaluate(LogView(line, INFO), "CA1").keep for line in lines] == [True] + [False] * (
            len(lines) - 1
        )
        assert policies.evaluate(LogView(lines[0], INFO), "CA2").keep
        assert policies.evaluate(LogView(lines[0], INFO)).keep

    def test_watchdog_ticks_once_in_three_seconds(self, policies, now):
        """A tick every 100 ms for 30 s leaves ten lines."""
        kept = 0
        for tick in range(300):
            now[0] = 1000 + tick / 10
            kept += policies.evaluate(LogView(f"[WATCHDOG] tick {tick}", INFO), "CA1").keep
        assert kept == 10

    def test_the_final_timeout_is_never_limited(self, policies):
        """A final timeout stays although a tick has just used up the window."""
        assert policies.evaluate(LogView("[WATCHDOG] tick 1", INFO), "CA1").keep
        assert not policies.evaluate(LogView("[WATCHDOG] tick 2", INFO), "CA1").keep
        assert policies.evaluate(LogView("⏰ [WATCHDOG] TIMEOUT: no audio for 30s", INFO), "CA1").keep

    def test_the_next_barge_in_is_logged_again(self, policies, now):
        """Barge-in is told once per occurrence: two seconds later it is another one."""
        line = LogView("🛑 [BARGE_IN] user speaking rms=812", INFO)
        assert [policies.evaluate(line, "CA1").keep for _ in range(3)] == [True, False, False]
        now[0] += 2
        assert policies.evaluate(line, "CA1").keep
