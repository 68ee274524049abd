"""The gate: drops before a record exists, and is otherwise not to be noticed."""

from __future__ import annotations

import logging
import threading
import warnings
from contextlib import nullcontext

import pytest

import otel_logging
from otel_logging.bridge import gate, known
from otel_logging.bridge.this_thread import thread
from otel_logging.policy.engine import PolicySet
from otel_logging.testing import FakeClock, assert_balanced, capture

METHODS = ("debug", "info", "warning", "error", "critical", "log", "callHandlers")


class Keeps(logging.Handler):
    """A handler that keeps the records it is given."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def emit(self, record):
        self.seen.append(record)


class Shout(logging.Logger):
    """An application's logger class, with a method of its own and one that it overrides."""

    def notice(self, msg, *args, **kwargs):
        if self.isEnabledFor(25):
            self._log(25, msg, args, **kwargs)

    def info(self, msg, *args, **kwargs):
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        super().info(f"{msg}!", *args, **kwargs)


class Counts:
    """Counts how often it is rendered."""

    def __init__(self):
        self.count = 0

    def __str__(self):
        self.count += 1
        return "text"


@pytest.fixture
def keeps():
    """A handler on a logger of the test's own, which does not propagate: `(logger, handler)`."""
    logger = logging.getLogger("gate.test")
    handler = Keeps()
    logger.addHandler(handler)
    logger.setLevel(1)
    yield logger, handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    logger.filters.clear()
    logger.propagate, logger.disabled = True, False


def originals():
    """The methods as they stand now."""
    return {name: logging.Logger.__dict__[name] for name in METHODS}


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


class TestVerdict:
    def test_dropped_before_the_record_exists(self, rules, monkeypatch):
        """What a policy drops makes no LogRecord, is counted, and reaches no handler at all."""
        made = []
        factory = logging.getLogRecordFactory()
        logger = logging.getLogger("gate.test")
        logging.setLogRecordFactory(lambda *args, **kwargs: made.append(args) or factory(*args, **kwargs))
        handler = Keeps()
        logger.addHandler(handler)
        try:
            with capture(policies=[rules(("frames", "frame", "none"))]) as sink:
                logger.info("a frame")
                logger.info("a %s", "frame")
                logger.info("a line")
                assert sink.bodies == ["a line"]
                assert otel_logging.stats()["dropped"] == {"policy:frames": 2}
                assert_balanced()
        finally:
            logging.setLogRecordFactory(factory)
            logger.removeHandler(handler)
        assert len(made) == 1
        assert [one.getMessage() for one in handler.seen] == ["a line"]

    @pytest.mark.parametrize(
        ("msg", "args"),
        [("a %s", ("frame",)), ("%s", ("a frame",)), ("%(x)s", ({"x": "frame"},)), ("fra%s%d", ("me", 1)), (ValueError("frame"), ()), (["frame"], ()), ("%s", (b"frame",))],
        ids=str,
    )  # fmt: skip
    def test_on_the_rendered_body(self, rules, msg, args):
        """The verdict is the one that the rendered body gets, whatever the message and its arguments are."""
        with capture(policies=[rules(("frames", "frame", "none"))]) as sink:
            logging.getLogger("gate.test").info(msg, *args)
            logging.getLogger("gate.test").info("a %s", "line")
            assert sink.bodies == ["a line"]

    def test_the_same_template_with_other_arguments(self, rules):
        """A verdict on one rendering is never used for another rendering of the same template."""
        with capture(policies=[rules(("frames", "frame", "none"))]) as sink:
            for word in ("line", "frame", "line", "frame"):
                logging.getLogger("gate.test").info("a %s", word)
            assert sink.bodies == ["a line"] * 2

    @pytest.mark.parametrize(
        "matcher",
        [
            {"log_attribute": "kind", "exact": "frame"}, {"log_attribute": "logger.name", "exact": "gate.test"},
            {"log_attribute": "call_sid", "exact": "CA1"}, {"log_attribute": "who", "exact": "x"},
            {"resource_attribute": "service.name", "exact": "voice"}, {"log_field": "LOG_FIELD_SEVERITY_TEXT", "exact": "INFO"},
            {"log_field": "LOG_FIELD_TRACE_ID", "exists": True},
        ],
        ids=str,
    )  # fmt: skip
    def test_on_more_than_the_body(self, rules, matcher):
        """A rule may read what the OTel record will hold: extras, the call, the logger, the resource, the severity."""
        with (
            capture(policies=[rules(("p", matcher, "none"))], service_name="voice") as sink,
            otel_logging.call("CA1", who="x"),
        ):
            logging.getLogger("gate.test").info("m", extra={"kind": "frame"})
            assert sink.records == []
            assert otel_logging.stats()["dropped"] == {"policy:p": 1}

    def test_matches_are_cached_by_text_verdicts_never(self, rules):
        """The same line again and again is matched once, but each time decided anew."""
        with capture(policies=[rules(("p", "tick", "2/s"))], clock=FakeClock()) as sink:
            for _ in range(5):
                logging.getLogger("gate.test").info("tick")
            assert len(gate._known.matches) == 1
            assert len(sink.records) == 2
            assert otel_logging.stats()["dropped"] == {"rate_limited:p": 3}

    def test_the_cache_is_bounded(self, rules, monkeypatch):
        """Lines that never repeat do not fill the memory."""
        monkeypatch.setattr(known, "_MAX_MATCHES", 10)
        monkeypatch.setattr(known, "_MAX_SHAPES", 10)
        with capture(policies=[rules(("p", "frame", "none"))], log_console="off"):
            for number in range(100):
                logging.getLogger("gate.test").info("frame " + "x" * number)
            assert 0 < len(gate._known.matches) <= 10
            assert 0 < len(gate._known.shapes) <= 10

    def test_lines_that_differ_in_numbers_are_one(self, rules):
        """A frame line with a new number each time is matched once."""
        with capture(policies=[rules(("p", "frame", "none"))], log_console="off"):
            for number in range(100, 200):
                logging.getLogger("gate.test").info(f"🔊 frame {number}")
            assert len(gate._known.matches) == 1
            assert otel_logging.stats()["dropped"] == {"policy:p": 100}

    def test_policies_may_be_exchanged(self, rules):
        """New policies count from the next line on."""
        with capture(policies=[rules(("p", "frame", "none"))]) as sink:
            logging.getLogger("gate.test").info("frame")
            gate._pipeline.policies = PolicySet([])
            logging.getLogger("gate.test").info("frame")
            assert sink.bodies == ["frame"]

    def test_fails_open(self, rules, monkeypatch):
        """An engine that breaks costs no record."""
        with capture(policies=[rules(("p", "frame", "none"))]) as sink:
            monkeypatch.setattr(gate, "_judge", lambda *_: 1 // 0)
            logging.getLogger("gate.test").info("frame")
            assert sink.bodies == ["frame"]

    def test_debug_turns_frame_policies_off(self):
        """At LOG_LEVEL=DEBUG the bundled frame policies are off; at INFO they are on; WARNING they never touch."""
        line = "[AUDIO_DELTA] chunk 17"
        logger = logging.getLogger("gate.test")
        with capture() as sink:
            logger.info(line)
            logger.warning(line)
            assert [record.level for record in sink.records] == ["WARNING"]
        with capture(log_level="DEBUG") as sink:
            logger.info(line)
            assert [record.level for record in sink.records] == ["INFO"]


class TestOnce:
    """The verdict is taken once per record, whichever way it comes."""

    @pytest.fixture
    def limited(self, rules):
        """A policy that lets two ticks pass in a second."""
        with capture(policies=[rules(("ticks", "tick", "2/s"))], clock=FakeClock()) as sink:
            yield sink

    def passed(self, sink):
        """How many of the test's own arrived, after the books were checked."""
        assert_balanced()
        return sum(record.logger.startswith(("gate.", "tenant.")) for record in sink.records)

    def test_gate(self, limited):
        """Logged in the usual way: two of five."""
        for _ in range(5):
            logging.getLogger("gate.test").info("tick")
        assert self.passed(limited) == 2
        assert otel_logging.stats()["created"] == 5

    def test_rewritten_by_a_filter(self, limited):
        """A filter that rewrites the message, as those that mask secrets do, does not have it judged again."""

        class Masks(logging.Filter):
            def filter(self, record):
                record.msg, record.args = f"{record.getMessage()} masked", ()
                return True

        logger = logging.getLogger("gate.masked")
        logger.addFilter(Masks())
        for _ in range(5):
            logger.info("tick %d", 1)
        assert self.passed(limited) == 2
        assert limited.bodies == ["tick 1 masked"] * 2

    def test_renamed_by_a_factory(self, limited):
        """A record factory that gives records another name does not have them judged again."""
        factory = logging.getLogRecordFactory()

        def renaming(name, *args, **kwargs):
            return factory(f"tenant.{name}", *args, **kwargs)

        logging.setLogRecordFactory(renaming)
        try:
            for _ in range(5):
                logging.getLogger("gate.test").info("tick")
        finally:
            logging.setLogRecordFactory(factory)
        assert self.passed(limited) == 2

    def test_handled_directly(self, limited):
        """`Logger.handle` of a record made by hand gets its verdict too."""
        logger = logging.getLogger("gate.test")
        for _ in range(5):
            logger.handle(
                logging.makeLogRecord({"name": "gate.test", "msg": "tick", "levelno": 20, "levelname": "INFO"})
            )
        assert self.passed(limited) == 2

    def test_logged_directly(self, limited):
        """`Logger._log`, which some libraries call, gets its verdict too."""
        for _ in range(5):
            logging.getLogger("gate.test")._log(20, "tick", ())
        assert self.passed(limited) == 2

    def test_handled_again(self, limited):
        """A record that a listener or a second logger handles again is not another record."""
        handler = Keeps()
        logger = logging.getLogger("gate.again")
        logger.addHandler(handler)
        logger.info("tick")
        for _ in range(5):
            logging.getLogger("gate.test").handle(handler.seen[0])
        assert self.passed(limited) == 1
        assert otel_logging.stats()["created"] == 1

    def test_nested(self, limited):
        """A line logged while another is being made is judged by itself."""

        class Logs(logging.Filter):
            def filter(self, record):
                if record.msg == "outer":
                    logging.getLogger("gate.inner")._log(20, "tick", ())
                return True

        logger = logging.getLogger("gate.nested")
        logger.addFilter(Logs())
        for _ in range(5):
            logger.info("outer")
        assert self.passed(limited) == 7
        assert limited.bodies.count("tick") == 2

    def test_a_filter_that_refuses_leaves_nothing_behind(self, limited):
        """A line that a filter stops is no record, and the next one is judged for itself."""
        logger = logging.getLogger("gate.refused")
        logger.addFilter(lambda _record: False)
        for _ in range(5):
            logger.info("tick")
        assert thread.passed is None
        for _ in range(5):
            logging.getLogger("gate.test").handle(
                logging.makeLogRecord({"name": "gate.refused", "msg": "other tick", "levelno": 20})
            )
        assert self.passed(limited) <= 2

    def test_per_call(self, limited):
        """A limit counts for each call by itself."""
        for sid in ("CA1", "CA2"):
            with otel_logging.call(sid):
                for _ in range(5):
                    logging.getLogger("gate.test").info("tick")
        assert self.passed(limited) == 4
        assert [record.body for record in limited.of_call("CA1")][:2] == ["tick"] * 2


class TestThreads:
    def test_many_threads_at_once(self, rules):
        """Lines from many threads are each judged and counted once."""
        start = threading.Barrier(6)
        logger = logging.getLogger("gate.test")

        def work(number):
            start.wait()
            for line in range(200):
                logger.info(f"frame {line}" if line % 2 else f"line {number}.{line}")

        with capture(policies=[rules(("frames", "frame", "none"))], log_console="off") as sink:
            threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
            for one in threads:
                one.start()
            for one in threads:
                one.join()
            assert len(set(sink.bodies)) == len(sink.bodies) == 600
            assert otel_logging.stats()["dropped"] == {"policy:frames": 600}
            assert otel_logging.stats()["created"] == 1200
            assert_balanced()


class TestNestedLogging:
    """Objects that log while they are rendered."""

    def test_an_argument_that_logs(self):
        """What `__str__` logs is a record like any other, and the outer line arrives."""
        inner = logging.getLogger("gate.inner")

        class Chatty:
            def __str__(self):
                inner.info("rendering")
                return "chatty"

        with capture() as sink:
            logging.getLogger("gate.test").info("m %s", Chatty())
            assert sink.bodies.count("m chatty") == 1
            assert "rendering" in sink.bodies
            assert_balanced()

    @pytest.mark.parametrize("level", [20, 40])
    @pytest.mark.parametrize("way", ["argument", "extra", "message"])
    def test_an_object_that_logs_itself(self, level, way):
        """An object that logs itself while it is rendered ends soon, raises nothing, and the books balance."""
        logger = logging.getLogger("gate.test")
        rendered = 0

        def log(it):
            if way == "argument":
                logger.log(level, "m %s", it)
            elif way == "extra":
                logger.log(level, "m loop", extra={"it": it})
            else:
                logger.log(level, it)

        class Loop:
            def __str__(self):
                nonlocal rendered
                rendered += 1
                log(self)
                return "m loop" if way == "message" else "loop"

        with capture(log_console="off") as sink:
            log(Loop())
            logger.info("after")
            assert sink.bodies[-1] == "after"
            assert "m loop" in sink.bodies
            assert_balanced()
            assert otel_logging.stats()["dropped"]["recursion"] > 0
        assert rendered < 2000
        assert thread.depth == 0
