"""What applications do to levels and to loggers that exist, lived with: levels are as asked for, nobody is silenced."""

from __future__ import annotations

import logging
import logging.config
import logging.handlers

import pytest
from applog_logger import LOGGER

from otel_logging.boot import applog
from otel_logging.testing import capture


class TestLevels:
    def test_by_default_info(self, sink, log):
        """Without anything said, INFO is on and DEBUG is off, for every logger."""
        assert logging.root.level == logging.INFO
        assert log.isEnabledFor(20)
        assert not log.isEnabledFor(10)

    def test_a_logger_cannot_go_below_log_level(self, sink, log):
        """A module that sets itself to DEBUG does not flood a service that runs at INFO."""
        log.setLevel(logging.DEBUG)
        log.debug("m")
        assert not log.isEnabledFor(10)
        assert sink.records == []

    def test_a_logger_may_go_above(self, sink, log):
        """Modules that the application sets to WARNING itself stay there."""
        log.setLevel(logging.WARNING)
        log.info("no")
        log.warning("yes")
        assert sink.bodies == ["yes"]

    def test_the_root_is_the_applications_where_nothing_was_given(self, sink, log):
        """Where LOG_LEVEL was not given, the application may raise the root's level."""
        logging.getLogger().setLevel(logging.ERROR)
        log.warning("no")
        log.error("yes")
        assert sink.bodies == ["yes"]

    @pytest.mark.parametrize("level", ["DEBUG", "WARNING"])
    @pytest.mark.parametrize("way", ["setLevel", "basicConfig", "dictConfig"])
    def test_log_level_given_outright_rules_the_root(self, log, level, way, monkeypatch):
        """Where LOG_LEVEL was given, no `basicConfig(level=INFO)` out of habit undoes it."""
        with capture(log_level=level, policies=[]) as sink:
            monkeypatch.setattr(logging.root, "handlers", [])
            if way == "setLevel":
                logging.getLogger().setLevel("INFO")
            elif way == "basicConfig":
                logging.basicConfig(level=logging.INFO)
            else:
                logging.config.dictConfig({"version": 1, "root": {"level": "INFO"}})
            assert logging.root.level == getattr(logging, level)
            log.debug("d")
            log.info("i")
            log.warning("w")
            assert sink.bodies == (["d", "i", "w"] if level == "DEBUG" else ["w"])

    def test_levels_that_are_none(self, sink, log):
        """A wrong level raises as the library does."""
        with pytest.raises(ValueError, match="Unknown level"):
            log.setLevel("LOUD")
        with pytest.raises(TypeError):
            log.setLevel(None)

    @pytest.mark.parametrize(
        "name",
        [
            "uvicorn",
            "uvicorn.access",
            "sqlalchemy.engine.Engine",
            "urllib3.connectionpool",
            "openai._base_client",
            "werkzeug",
            "httpx",
            "twilio.http_client",
            "websockets.server",
        ],
    )
    def test_libraries_are_quiet(self, sink, name):
        """Noisy libraries are at WARNING, also where they, or their frameworks, set themselves to INFO."""
        logger = logging.getLogger(name)
        logger.info("no")
        logger.setLevel("INFO")
        logger.info("no")
        logger.warning("yes")
        assert sink.bodies == ["yes"]

    def test_a_library_may_be_quieter_still(self, sink):
        """A library that the application has silenced further stays so."""
        logging.getLogger("httpx").setLevel(logging.ERROR)
        logging.getLogger("httpx").warning("no")
        assert sink.records == []

    def test_quiet_before_and_after(self):
        """A library that was set to DEBUG before us is quiet while we are there, and as it was afterwards."""
        logger = logging.getLogger("httpx._client")
        logger.setLevel(logging.DEBUG)
        try:
            with capture(policies=[]):
                assert logger.level == logging.WARNING
            assert logger.level == logging.DEBUG
        finally:
            logger.setLevel(logging.NOTSET)

    def test_debug_lets_libraries_speak(self):
        """At LOG_LEVEL=DEBUG libraries are not quietened."""
        with capture(log_level="DEBUG", policies=[]) as sink:
            logging.getLogger("httpx").debug("m")
            assert sink.bodies == ["m"]

    @pytest.mark.parametrize("name", ["uvicornish", "my.uvicorn", "app", "googler"])
    def test_names_that_only_look_alike(self, name):
        """Only a library's own name and what is below it is quiet."""
        assert not applog.is_quiet(name)


CONFIG = {"version": 1, "root": {"level": "INFO"}}


class TestExistingLoggers:
    def test_dict_config_does_not_silence_by_default(self, sink, log):
        """`dictConfig` without `disable_existing_loggers` does not silence loggers made before."""
        logging.config.dictConfig(dict(CONFIG))
        log.info("m")
        assert sink.bodies == ["m"]

    def test_asked_for_it_is_honoured(self, sink, log):
        """An explicit `disable_existing_loggers: True` does."""
        logging.config.dictConfig({**CONFIG, "disable_existing_loggers": True})
        log.info("m")
        assert log.disabled
        assert sink.bodies == []

    def test_the_callers_dict_is_not_changed(self, sink):
        """The application's own configuration object stays as it is."""
        config = dict(CONFIG)
        logging.config.dictConfig(config)
        assert config == CONFIG

    def test_incremental(self, sink, log):
        """An incremental configuration changes levels only."""
        logging.config.dictConfig({"version": 1, "incremental": True, "loggers": {LOGGER: {"level": "ERROR"}}})
        log.info("no")
        log.error("yes")
        assert sink.bodies == ["yes"]

    @pytest.mark.parametrize(("explicit", "bodies"), [(None, ["m"]), (True, []), (False, ["m"])])
    def test_file_config(self, sink, log, tmp_path, explicit, bodies):
        """The same for `fileConfig`."""
        path = tmp_path / "logging.ini"
        path.write_text(
            "[loggers]\nkeys=root\n[handlers]\nkeys=c\n[formatters]\nkeys=\n[logger_root]\nlevel=INFO\nhandlers=c\n"
            "[handler_c]\nclass=StreamHandler\nargs=(sys.stdout,)\n"
        )
        logging.config.fileConfig(path, **({} if explicit is None else {"disable_existing_loggers": explicit}))
        log.info("m")
        assert sink.bodies == bodies

    def test_without_us_the_default_is_pythons(self, log):
        """Before and after us the library's own default stands."""
        with capture(policies=[]):
            pass
        before = logging.getLogger(LOGGER).disabled
        try:
            logging.config.dictConfig({"version": 1})
            assert log.disabled
        finally:
            log.disabled = before
            for logger in logging.root.manager.loggerDict.values():
                if isinstance(logger, logging.Logger):
                    logger.disabled = False
