"""What applications do to `logging`, lived with: each record exported once and printed once, and all undone at the end."""

from __future__ import annotations

import io
import logging
import logging.config
import logging.handlers
import queue
import sys
from logging.config import dictConfig as early_dict_config

import pytest
from applog_logger import LOGGER

from otel_logging.boot import applog
from otel_logging.testing import assert_balanced, capture


def once(sink, capsys, body="m"):
    """The record is exported once, printed once by our console, and by nobody else."""
    assert sink.bodies == [body]
    assert sink.console.count(body) == 1
    out = capsys.readouterr()
    assert (out.out, out.err) == ("", "")
    assert_balanced()


class TestOnce:
    """Exported once and printed once, whatever the application does."""

    def test_nothing_done(self, sink, log, capsys):
        """No handler at all: `lastResort` does not print it again."""
        log.warning("m")
        once(sink, capsys)

    @pytest.mark.parametrize("stream", ["stdout", "stderr", "__stdout__", "__stderr__"])
    def test_a_stream_handler_of_its_own(self, sink, log, capsys, stream):
        """root.handlers cleared, and a StreamHandler put there: it stays silent."""
        logging.root.handlers.clear()
        logging.root.addHandler(logging.StreamHandler(getattr(sys, stream)))
        log.info("m")
        once(sink, capsys)

    def test_a_wrapped_stdout(self, sink, log, capfd):
        """A handler on a wrapper around stdout, made to change the encoding, stays silent too."""
        raw = io.FileIO(1, "wb", closefd=False)
        logging.root.addHandler(logging.StreamHandler(io.TextIOWrapper(raw, "utf-8", write_through=True)))
        log.info("m")
        once(sink, capfd)

    def test_a_file_handler_on_dev_stdout(self, sink, log, capfd):
        """A FileHandler on /dev/stdout, as containers have it, stays silent too."""
        handler = logging.FileHandler("/dev/stdout", delay=True)
        logging.root.addHandler(handler)
        log.info("m")
        handler.close()
        once(sink, capfd)

    def test_handlers_on_root_and_child(self, sink, log, capsys):
        """Handlers at two levels, which would print twice without us."""
        log.addHandler(logging.StreamHandler())
        logging.root.addHandler(logging.StreamHandler())
        log.info("m")
        once(sink, capsys)

    def test_no_propagation(self, sink, log, capsys):
        """A logger that does not propagate, with and without a handler of its own."""
        log.propagate = False
        log.info("m")
        once(sink, capsys)
        sink.clear()
        log.addHandler(logging.StreamHandler())
        log.info("n")
        assert sink.bodies == ["n"]

    @pytest.mark.parametrize(
        "configure",
        [
            logging.config.dictConfig,
            early_dict_config,
            lambda config: logging.config.DictConfigurator(config).configure(),
        ],
    )
    def test_dict_config(self, sink, log, capsys, configure):
        """A dictConfig with a console handler, by whatever name it was imported."""
        configure(
            {
                "version": 1,
                "handlers": {"c": {"class": "logging.StreamHandler"}},
                "root": {"level": "INFO", "handlers": ["c"]},
            }
        )
        log.info("m")
        once(sink, capsys)

    def test_basic_config_force(self, sink, log, capsys):
        """`basicConfig(force=True)`, before and after other handlers."""
        logging.root.addHandler(logging.StreamHandler())
        logging.basicConfig(force=True, level="INFO", stream=sys.stdout)
        log.info("m")
        once(sink, capsys)

    def test_uvicorns_log_config(self, sink, capsys):
        """Uvicorn's own configuration, which takes its loggers off the root: its errors arrive, its chatter does not."""
        from uvicorn.config import LOGGING_CONFIG

        logging.config.dictConfig(LOGGING_CONFIG)
        logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', "1.2.3.4:5", "GET", "/", "1.1", 200)
        logging.getLogger("uvicorn.error").info("Started server process")
        logging.getLogger("uvicorn.error").error("m")
        once(sink, capsys)

    def test_a_queue_and_its_listener(self, sink, log, capsys):
        """QueueHandler and QueueListener: the record that comes out of the queue is the one that went in."""
        records = queue.SimpleQueue()
        log.addHandler(logging.handlers.QueueHandler(records))
        listener = logging.handlers.QueueListener(records, logging.StreamHandler(), respect_handler_level=True)
        listener.start()
        log.info("m")
        listener.stop()
        once(sink, capsys)

    def test_a_queue_that_is_emptied_by_hand(self, sink, log, capsys):
        """A consumer that hands records from a queue to `Logger.handle`, as the cookbook's listener process does."""
        records = queue.SimpleQueue()
        log.addHandler(logging.handlers.QueueHandler(records))
        log.info("m")
        logging.getLogger("consumer").handle(records.get())
        once(sink, capsys)

    def test_a_memory_handler(self, sink, log, capsys):
        """A MemoryHandler that gives its records to a console handler later."""
        memory = logging.handlers.MemoryHandler(10, logging.ERROR, logging.StreamHandler())
        log.addHandler(memory)
        log.info("m")
        memory.flush()
        memory.close()
        once(sink, capsys)

    def test_a_formatter_that_caches(self, sink, log):
        """A handler that formats exceptions first does not change what is exported."""
        log.addHandler(logging.StreamHandler(io.StringIO()))
        try:
            raise ValueError("bad")
        except ValueError:
            log.exception("m")
        (record,) = sink.records
        assert record.attributes["exception.message"] == "bad"
        assert sink.console.count("ValueError: bad") == 1


class TestOtherHandlers:
    """What is no console keeps getting its records."""

    def test_files_and_streams_in_memory(self, sink, log, tmp_path):
        """A FileHandler and a stream in memory get each record as before."""
        memory = io.StringIO()
        file = logging.FileHandler(tmp_path / "app.log")
        log.addHandler(file)
        log.addHandler(logging.StreamHandler(memory))
        log.info("m")
        file.close()
        assert (tmp_path / "app.log").read_text() == memory.getvalue() == "m\n"

    def test_a_handler_with_an_odd_stream(self, sink, log):
        """A handler whose `stream` is something else entirely is asked and left alone."""

        class Odd(logging.Handler):
            stream = 5
            seen = 0

            def emit(self, record):
                self.seen += 1

        odd = Odd()
        log.addHandler(odd)
        log.info("m")
        assert odd.seen == 1

    def test_handler_levels_and_filters(self, sink, log):
        """Levels and filters of other handlers count as before."""
        memory = io.StringIO()
        handler = logging.StreamHandler(memory)
        handler.setLevel(logging.ERROR)
        handler.addFilter(lambda record: "no" not in record.msg)
        log.addHandler(handler)
        for level, body in ((20, "info"), (40, "yes"), (40, "no")):
            log.log(level, body)
        assert memory.getvalue() == "yes\n"
        assert sink.bodies == ["info", "yes", "no"]

    def test_rich_is_a_console(self):
        """Rich's handler prints to stdout through a console of its own."""
        from rich.console import Console
        from rich.logging import RichHandler

        assert applog.prints_to_console(RichHandler(console=Console(file=sys.stdout)))
        assert not applog.prints_to_console(RichHandler(console=Console(file=io.StringIO())))

    def test_after_us_the_application_prints_again(self, log, capsys, monkeypatch):
        """Once we are gone, its handlers print."""
        with capture(policies=[]):
            pass
        monkeypatch.setattr(logging.root, "handlers", [logging.StreamHandler()])
        log.warning("m")
        assert capsys.readouterr().err == "m\n"


class TestDropped:
    """What is dropped or switched off is not printed either."""

    def test_by_policy(self, log, capsys, monkeypatch):
        """A line that a policy drops reaches no handler of the application's."""
        with capture() as sink:
            monkeypatch.setattr(logging.root, "handlers", [logging.StreamHandler()])
            log.info("[AUDIO_DELTA] chunk 17")
            log.handle(
                logging.makeLogRecord(
                    {"name": LOGGER, "msg": "[AUDIO_DELTA] chunk 18", "levelno": 20, "levelname": "INFO"}
                )
            )
            assert sink.records == []
            assert_balanced()
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize(("mode", "printed"), [("on", ["i", "e"]), ("errors", ["e"]), ("off", [])])
    def test_log_console(self, log, capsys, monkeypatch, mode, printed):
        """LOG_CONSOLE counts for the application's own console handlers as well: nobody pays twice."""
        with capture(log_console=mode, policies=[]) as sink:
            monkeypatch.setattr(logging.root, "handlers", [logging.StreamHandler()])
            log.info("i")
            log.error("e")
            assert sink.bodies == ["i", "e"]
            assert [line[-1] for line in sink.console.splitlines()] == printed
        assert capsys.readouterr().err == ""

    def test_disabled_loggers_filters_and_levels(self, sink, log, capsys):
        """A disabled logger, a filter and a level make no record, and nothing is counted."""
        log.disabled = True
        log.error("a")
        log.disabled = False
        log.addFilter(lambda _record: False)
        log.error("b")
        log.filters.clear()
        log.setLevel(logging.ERROR)
        log.info("c")
        log.debug("d")
        import otel_logging

        assert (sink.records, otel_logging.stats()["created"]) == ([], 0)

    def test_below_log_level_by_hand(self, sink, log, capsys):
        """A record made by hand that is below LOG_LEVEL is no record, and is not printed by the application either."""
        logging.root.addHandler(logging.StreamHandler())
        log.handle(logging.makeLogRecord({"name": LOGGER, "msg": "m", "levelno": 10, "levelname": "DEBUG"}))
        assert sink.records == []
        assert capsys.readouterr().err == ""

    def test_null_handler(self, sink, log):
        """A library's NullHandler changes nothing."""
        log.addHandler(logging.NullHandler())
        log.warning("m")
        assert sink.bodies == ["m"]


class TestUndo:
    def test_everything_is_as_before(self):
        """Patches, defaults, levels and `logging.disable` are what they were."""

        def state():
            return (
                logging.Logger.setLevel, logging.Handler.handle, logging.config.DictConfigurator.configure,
                logging.config.fileConfig.__defaults__, logging.root.level, logging.root.manager.disable,
                {name: item.level for name, item in logging.root.manager.loggerDict.items() if isinstance(item, logging.Logger) and item.level},
            )  # fmt: skip

        before = state()
        with capture(policies=[]):
            assert state() != before
        assert state() == before

    def test_what_the_application_set_since_stays(self, monkeypatch):
        """Uninstalling puts back only what still stands as we put it."""
        from otel_logging import settings

        root, library = logging.root.level, logging.getLogger("httpx").level
        applog.install(settings.read({}, {}))
        try:
            logging.root.setLevel(logging.CRITICAL)
            logging.getLogger("httpx").setLevel(logging.CRITICAL)
            logging.disable(logging.ERROR)
            applog.uninstall()
            assert (logging.root.level, logging.getLogger("httpx").level, logging.root.manager.disable) == (50, 50, 40)
        finally:
            applog.uninstall()
            logging.root.setLevel(root)
            logging.getLogger("httpx").setLevel(library)
            logging.disable(logging.NOTSET)

    def test_a_patch_on_top_survives(self, monkeypatch):
        """Another tool's wrapper around `Handler.handle` stays, and ours underneath is inert."""
        inner = []
        with capture(policies=[]):
            inner.append(logging.Handler.handle)

            def on_top_of(self, record):
                return inner[0](self, record)

            monkeypatch.setattr(logging.Handler, "handle", on_top_of)
            on_top = logging.Handler.handle
        assert logging.Handler.handle is on_top
        memory = io.StringIO()
        logging.StreamHandler(memory).handle(logging.makeLogRecord({"msg": "m"}))
        assert memory.getvalue() == "m\n"
        with capture(policies=[]) as sink:
            logging.getLogger(LOGGER).info("m")
            assert sink.bodies == ["m"]

    def test_the_official_handler_is_taken_off(self):
        """A handler that opentelemetry's own instrumentation put on the root would export everything twice."""
        from opentelemetry.instrumentation.logging.handler import LoggingHandler
        from opentelemetry.sdk._logs import LoggerProvider

        provider = LoggerProvider(shutdown_on_exit=False)
        handler = LoggingHandler(logger_provider=provider)
        logging.root.addHandler(handler)
        try:
            with capture(policies=[]):
                assert handler not in logging.root.handlers
        finally:
            logging.root.removeHandler(handler)
            provider.shutdown()
