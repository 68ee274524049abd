"""`LoggingHandler`: the drop-in for `opentelemetry.instrumentation.logging.handler.LoggingHandler`.

Attached by hand it translates as the official handler does, but never raises into the application. Where `configure()`
has run, records also get their call, and a record that the process's pipeline has taken is not exported again.
"""

from __future__ import annotations

import logging
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar

from opentelemetry._logs import LoggerProvider, NoOpLogger, get_logger, get_logger_provider

from otel_logging import trouble
from otel_logging.bridge import attribute_limit, scope, translate
from otel_logging.bridge.values import clean_name, passes

if TYPE_CHECKING:
    from opentelemetry._logs import LogRecord

    from otel_logging.bridge.pipeline import Pipeline

_pipeline: Pipeline | None = None


def set_pipeline(pipeline: Pipeline | None) -> None:
    """Tell handlers which pipeline serves this process; None when there is none."""
    global _pipeline
    _pipeline = pipeline


class LoggingHandler(logging.Handler):
    """A `logging.Handler` that emits each record through OTel's logs API.

    Args:
        level: records below it are ignored.
        logger_provider: where records go; by default the global provider.
        log_code_attributes: add `code.file.path`, `code.function.name` and `code.line.number`.
    """

    _is_emitting: ClassVar[ContextVar[bool]] = ContextVar("otel_logging_is_emitting", default=False)

    def __init__(
        self,
        level: int = logging.NOTSET,
        logger_provider: LoggerProvider | None = None,
        log_code_attributes: bool = False,
    ) -> None:
        super().__init__(level=level)
        self._logger_provider = logger_provider or get_logger_provider()
        self._follows_global = logger_provider is None
        self._log_code_attributes = log_code_attributes
        self._most_attributes = attribute_limit.from_environment().max_log_record_attributes

    def handle(self, record: logging.LogRecord) -> Any:
        """As the library's, but without the handler's lock: an object that is slow to tell its text delays nobody else.

        Nothing in here needs the lock; the providers have their own, and hold them for no code of the application's.
        """
        found: Any = self.filter(record)
        if isinstance(found, logging.LogRecord):  # since Python 3.12 a filter may answer with another record
            record = found
        if found:
            self.emit(record)
        return found

    def emit(self, record: logging.LogRecord) -> None:
        """Emit one record. Whatever goes wrong is reported on stderr and counted, never raised."""
        if self._is_emitting.get():
            # A processor or exporter logged while it worked on a record of ours.
            trouble.report("recursion", "a record made while another was being emitted was left out")
            return
        pipeline = _pipeline
        ours = pipeline is not None and self._target() in (pipeline.provider, pipeline.alias)
        if ours and translate.MARK in record.__dict__:
            return
        token = self._is_emitting.set(True)
        try:
            logger = get_logger(clean_name(record.name), logger_provider=self._logger_provider)
            if not isinstance(logger, NoOpLogger) and logger.enabled(
                severity_number=translate.severity_number(record.levelno)
            ):
                log_record = self._translate(record, pipeline)
                attribute_limit.keep(log_record, self._most_attributes)
                if pipeline is not None and ours and self.formatter is None:
                    pipeline.books.created()  # it carries a verdict, so that no processor of ours counts it
                logger.emit(log_record)
                attribute_limit.tell(log_record)
        except BaseException as error:
            if passes(error):
                raise
            trouble.report("internal_error", f"a record was lost to {trouble.sentence(error)}")
        finally:
            self._is_emitting.reset(token)

    def _target(self) -> LoggerProvider:
        """The provider as it is now: a handler made before `configure()` holds the API's stand-in."""
        return get_logger_provider() if self._follows_global else self._logger_provider

    def _translate(self, record: logging.LogRecord, pipeline: Pipeline | None) -> LogRecord:
        if pipeline is not None and self.formatter is None:
            return pipeline.translate(record, scope.current.get())
        return translate.plain(
            record,
            code_attributes=self._log_code_attributes,
            render=self.format if self.formatter is not None else None,
        )

    def flush(self) -> None:
        """Ask the provider to flush, in a thread of its own: a flush may log, and `logging` holds locks here."""
        force_flush = getattr(self._logger_provider, "force_flush", None)
        if callable(force_flush):
            try:
                threading.Thread(target=force_flush, name="otel-logging-flush", daemon=True).start()
            except RuntimeError:
                # The interpreter is ending and starts no more threads; what ends the process flushes too.
                trouble.count("flush_at_exit")
