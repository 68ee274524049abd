"""The gate is not to be noticed: file, line, function and exception of every record are as without it."""

from __future__ import annotations

import logging
import warnings
from contextlib import nullcontext

import pytest
from gated import Keeps

from otel_logging.testing import capture


class Shout(logging.Logger):
    """An application's logger class, with a method of its own and one that it overrides."""

    def notice(self, msg, *args, **kwargs):
        if self.isEnabledFor(25):
            self._log(25, msg, args, **kwargs)

    def info(self, msg, *args, **kwargs):
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        super().info(f"{msg}!", *args, **kwargs)


# Each way in which a line can be logged. What matters is the place from which `way(log)` calls.


def helper(log, **kwargs):
    """A function that logs on behalf of its caller."""
    log.info("m", stacklevel=2, **kwargs)


def helper_twice(log):
    """One more in between."""
    helper_three(log)


def helper_three(log):
    """Logs on behalf of its caller's caller."""
    log.warning("m", stacklevel=3)


def way_each_method(log):
    """Every level's own method."""
    for name in ("debug", "info", "warning", "error", "critical"):
        getattr(log, name)("m %s", name)


def way_log(log):
    """`Logger.log`, odd levels included."""
    for level in (10, 15, 20, 25, 50, 60):
        log.log(level, "m")


def way_exception(log):
    """`Logger.exception` and `exc_info` in its forms."""
    try:
        raise ValueError("bad")
    except ValueError as error:
        log.exception("m")
        log.error("m", exc_info=True)
        log.error("m", exc_info=error)
        log.error("m", exc_info=(ValueError, error, error.__traceback__))


def way_stacklevel(log):
    """Helpers with stacklevel."""
    helper(log)
    helper_twice(log)
    log.info("m", stacklevel=50)


def way_stack_info(log):
    """A stack with the line."""
    log.warning("m", stack_info=True)


def way_extra(log):
    """Extras."""
    log.info("m", extra={"user": "u"})
    log.log(30, "m", extra={"user": "u"}, stacklevel=1)


def way_adapter(log):
    """An adapter, around an adapter."""
    adapter = logging.LoggerAdapter(log, {"user": "u"})
    adapter.info("m")
    adapter.log(40, "m")
    try:
        raise ValueError("bad")
    except ValueError:
        adapter.exception("m")
    logging.LoggerAdapter(adapter, {}).warning("m", stacklevel=1)


def way_lambda(log):
    """A lambda and a comprehension."""
    logs = lambda: log.info("m")  # noqa: E731
    logs()
    [log.info("m") for _ in range(2)]


def way_direct(log):
    """`Logger._log` and `Logger.handle`."""
    log._log(30, "m", ())
    log.handle(log.makeRecord(log.name, 30, "fn", 7, "m", (), None, "func"))


def way_mapping(log):
    """A mapping as the only argument, and odd arguments."""
    log.info("%(a)s", {"a": 1})
    log.info("m %s %r", "x", None)
    log.info({"a": 1})
    log.info("100%")


WAYS = [value for name, value in sorted(globals().items()) if name.startswith("way_")]


def facts(records):
    """What is to be the same with and without the gate."""
    return [
        (
            one.name, one.levelno, one.levelname, one.getMessage(), one.pathname, one.lineno, one.funcName, one.module,
            one.stack_info and one.stack_info.splitlines()[-2:], one.exc_info and one.exc_info[0], getattr(one, "user", None),
        )
        for one in records
    ]  # fmt: skip


class TestPlaces:
    @pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
    def test_every_way_to_log_is_as_without_the_gate(self, way, keeps):
        """File, line, function, message, exception and stack of every record are what they are without us."""
        logger, handler = keeps
        found = []
        for setting in (nullcontext(), capture(log_level="DEBUG")):
            with setting:
                way(logger)  # from one line, as Python 3.10 takes the caller's caller for the place of a `_log`
            found.append(facts(handler.seen))
            handler.seen = []
        without, gated = found
        assert gated == without
        assert without
        assert all(fact[4] == __file__ or fact[4] == "fn" or way is way_stacklevel for fact in without)

    def test_the_root_logger_and_the_module_functions(self, keeps):
        """`logging.info()` and its like name the line that called them."""
        _, handler = keeps

        def way():
            logging.root.addHandler(handler)
            try:
                logging.getLogger().warning("m")
                logging.warning("m")
                logging.log(40, "m", extra={"user": "u"})
                try:
                    raise ValueError
                except ValueError:
                    logging.exception("m")
            finally:
                logging.root.removeHandler(handler)

        way()
        without, handler.seen = facts(handler.seen), []
        with capture():
            way()
        assert facts(handler.seen) == without
        assert {fact[6] for fact in without} == {"way"}

    def test_subclasses(self):
        """A logger class of the application's own works, its overridden and its own methods."""
        logger = Shout("gate.shout", 1)
        logger.parent = logging.root
        handler = Keeps()
        logger.addHandler(handler)

        def way():
            logger.info("m %d", 1)
            logger.notice("m")
            logger.error("m")

        way()
        without, handler.seen = facts(handler.seen), []
        with capture(log_level="DEBUG") as sink:
            way()
        assert facts(handler.seen) == without
        assert [fact[3] for fact in without] == ["m 1!", "m", "m"]
        assert [record.attributes["code.function.name"] for record in sink.records] == [fact[6] for fact in without]

    def test_captured_warnings(self):
        """Warnings that `captureWarnings` turns into records arrive."""
        with capture() as sink, warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)
            try:
                warnings.warn("an old thing", DeprecationWarning, stacklevel=1)
            finally:
                logging.captureWarnings(False)
        (record,) = sink.records
        assert (record.logger, record.level) == ("py.warnings", "WARNING")
        assert "an old thing" in record.body

    @pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated")
    def test_fatal_and_warn(self, keeps):
        """The aliases work, also where this Python has made them methods of their own."""
        logger, handler = keeps
        aliases = [name for name in ("fatal", "warn") if hasattr(logger, name)]
        for name in aliases:
            getattr(logger, name)("m")
        without, handler.seen = facts(handler.seen), []
        with capture() as sink:
            for name in aliases:
                getattr(logger, name)("m")
        assert [fact[:4] for fact in facts(handler.seen)] == [fact[:4] for fact in without]
        assert [fact[6] for fact in facts(handler.seen)] == [fact[6] for fact in without]
        assert len(sink.records) == len(aliases)
