"""The gate comes and goes: as the standard library while it is there, beside the patches of others, and undone."""

from __future__ import annotations

import logging

import pytest
from gated import METHODS, Keeps, originals

from otel_logging.bridge import gate
from otel_logging.testing import assert_balanced, capture


class Counts:
    """Counts how often it is rendered."""

    def __init__(self):
        self.count = 0

    def __str__(self):
        self.count += 1
        return "text"


class TestAsTheStandardLibrary:
    @pytest.mark.parametrize("level", ["INFO", None, 20.0])
    def test_a_level_that_is_no_number(self, level, monkeypatch):
        """`log()` with a level that is no number raises TypeError as the library does, and only where that is asked for."""
        logger = logging.getLogger("gate.test")
        with capture() as sink:
            with pytest.raises(TypeError, match="level must be an integer"):
                logger.log(level, "m")
            monkeypatch.setattr(logging, "raiseExceptions", False)
            logger.log(level, "m")
        assert sink.records == []

    def test_an_extra_that_would_overwrite_the_record(self):
        """`extra={"message": …}`, for which the library raises, is made all the same: see `test_makerecord`."""
        with capture() as sink:
            logging.getLogger("gate.test").info("m", extra={"message": "x"})
            assert sink.bodies == ["m"]

    def test_an_unknown_keyword(self):
        """A keyword that logging does not know raises TypeError as the library does, only where the level is on."""
        with capture():
            logging.getLogger("gate.test").debug("m", nonsense=1)
            with pytest.raises(TypeError):
                logging.getLogger("gate.test").info("m", nonsense=1)

    def test_is_enabled_for_is_truthful(self, rules):
        """`isEnabledFor` answers by level only, and exactly by what is in force."""
        logger = logging.getLogger("gate.test")
        with capture(policies=[rules(("p", "frame", "none"))]):
            assert logger.isEnabledFor(20)
            assert not logger.isEnabledFor(10)
        with capture(log_level="ERROR"):
            assert not logger.isEnabledFor(30)
            assert logger.isEnabledFor(40)
            assert logger.getEffectiveLevel() == 40

    def test_arguments_are_not_rendered_below_the_level(self):
        """A line below its level costs no rendering."""
        arg = Counts()
        with capture():
            logging.getLogger("gate.test").debug("m %s", arg)
        assert arg.count == 0

    def test_docstrings_and_names_stay(self):
        """The replaced methods look like the ones they replace."""
        before = {
            name: (method.__doc__, method.__name__, method.__qualname__)
            for name, method in originals().items()
            if name != "callHandlers"
        }
        with capture():
            after = {
                name: (method.__doc__, method.__name__, method.__qualname__)
                for name, method in originals().items()
                if name != "callHandlers"
            }
        assert after == before


class TestInstall:
    def test_undone(self):
        """After `uninstall` every method is the very one that stood there before."""
        before = dict(vars(logging.Logger))
        with capture():
            assert originals() != {name: before[name] for name in METHODS}
        assert dict(vars(logging.Logger)) == before

    def test_twice_is_once(self):
        """Installing again exchanges the pipeline and patches nothing more."""
        before = originals()
        with capture() as sink:
            once = originals()
            gate.install(gate._pipeline)
            assert originals() == once
            logging.getLogger("gate.test").info("m")
            assert len(sink.records) == 1
        assert originals() == before
        gate.uninstall()
        assert originals() == before

    def test_a_patch_on_top_survives(self):
        """Another tool that wraps `callHandlers` and `info` after us keeps working when we go and come again."""
        seen = []
        inner = {}

        def wrap(name):
            inner[name] = getattr(logging.Logger, name)

            def wrapper(self, *args, **kwargs):
                seen.append(name)
                return inner[name](self, *args, **kwargs)

            setattr(logging.Logger, name, wrapper)

        logger = logging.getLogger("gate.test")
        before = originals()
        try:
            with capture() as sink:
                wrap("callHandlers")
                wrap("info")
                logger.info("one")
                assert (seen, sink.bodies) == (["info", "callHandlers"], ["one"])
                patched = originals()
            assert {name: originals()[name] for name in ("callHandlers", "info")} == {
                name: patched[name] for name in ("callHandlers", "info")
            }
            assert originals()["warning"] is before["warning"]
            handler = Keeps()
            logger.addHandler(handler)
            logger.warning("between")
            logger.removeHandler(handler)
            assert [one.getMessage() for one in handler.seen] == ["between"]
            with capture() as sink:
                logger.info("two")
                logger.warning("three")
                assert sink.bodies == ["two", "three"]
                assert_balanced()
        finally:
            for name in ("callHandlers", "info"):
                setattr(logging.Logger, name, inner[name])
            with capture():
                pass
        assert originals() == before

    def test_a_patch_underneath_survives(self, monkeypatch):
        """Another tool that wrapped `callHandlers` before us, as Sentry does, sees every record that passes."""
        seen = []
        original = logging.Logger.callHandlers

        def sentry(self, record):
            seen.append(record.getMessage())
            return original(self, record)

        monkeypatch.setattr(logging.Logger, "callHandlers", sentry)
        with capture() as sink:
            logging.getLogger("gate.test").info("m")
            assert sink.bodies == ["m"]
        assert seen == ["m"]
        assert logging.Logger.callHandlers is sentry

    def test_a_method_that_another_tool_replaced(self, monkeypatch, rules):
        """A tool that replaced `info` before us keeps being called, and its records are judged all the same."""
        seen = []
        original = logging.Logger.info

        def tool(self, msg, *args, **kwargs):
            seen.append(msg)
            return original(self, msg, *args, **kwargs)

        monkeypatch.setattr(logging.Logger, "info", tool)
        with capture(policies=[rules(("p", "frame", "none"))]) as sink:
            logging.getLogger("gate.test").info("a frame")
            logging.getLogger("gate.test").info("a line")
            assert sink.bodies == ["a line"]
            assert_balanced()
        assert seen == ["a frame", "a line"]
        assert logging.Logger.info is tool

    def test_a_pipeline_that_is_gone(self, keeps):
        """Methods of ours that were taken by reference keep logging after we have gone."""
        logger, handler = keeps
        with capture():
            bound = logger.warning
        bound("late")
        assert [one.getMessage() for one in handler.seen] == ["late"]
