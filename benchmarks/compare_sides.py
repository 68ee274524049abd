"""The logging libraries that are compared, each set up as its own documentation does it, in a process of its own.

Each gives a function for each shape that logs it so many times. Not in here: what is measured and when (`compare`).
The output of the process is the file that console lines go to; every library writes each line through at once.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import sys
import tempfile
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Say = "dict[str, Callable[[int], None]]"
SHAPES = ("constant", "f_string", "words", "template", "extras", "exception")
NAME = "server.media_ws_ai"
FRAME = "[AUDIO_DELTA]"  # how the lines begin that `filtered` drops


# -- what is said ------------------------------------------------------------------------------------------------------


def says(info: Any, failed: Any, template: str = "%s: turn %%d of the call has begun", head: str = "state") -> Any:
    """The shapes for a logger with the methods and the templates of the standard library."""
    text = template % head
    return {
        "constant": lambda count: _constant(info, f"{head}: the call has begun", count),
        "f_string": lambda count: _f_string(info, head, count),
        "words": lambda count: _words(info, head, count),
        "template": lambda count: _template(info, text, count),
        "extras": lambda count: _extras(info, text, count),
        "exception": lambda count: _exception(failed, text, count),
    }


def _constant(info: Any, text: str, count: int) -> None:
    for _ in range(count):
        info(text)


def _f_string(info: Any, head: str, count: int) -> None:
    for number in range(count):
        info(f"{head}: turn {number} of the call has begun")


def _words(info: Any, head: str, count: int) -> None:
    """Texts with a word that is new in each, such as a name; letters alone."""
    for number in range(next(_blocks) * 1_000, (next(_blocks) + 1) * 1_000)[:count]:
        info(f"{head}: the call has begun with {chr(97 + number % 26)}{hex(number).translate(_LETTERS)}")


_blocks = itertools.count()
_LETTERS = str.maketrans("0123456789", "ghijklmnop")


def _template(info: Any, text: str, count: int) -> None:
    for number in range(count):
        info(text, number)


def _extras(info: Any, text: str, count: int) -> None:
    for number in range(count):
        info(text, number, extra={"turn": number, "latency_ms": number * 1.5, "voice": "alloy", "barge_in": False})


def _exception(failed: Any, text: str, count: int) -> None:
    for number in range(count):
        try:
            _fail(number)
        except ValueError:  # noqa: PERF203 (that is what is measured)
            failed(text, number)


def _with_keywords(info: Any, failed: Any, template: str, head: str) -> Any:
    """As `says`, for loggers that take attributes as keywords."""
    found = says(info, failed, template, head)
    text = template % head

    def extras(count: int) -> None:
        for number in range(count):
            info(text, number, turn=number, latency_ms=number * 1.5, voice="alloy", barge_in=False)

    return {**found, "extras": extras}


def _fail(number: int) -> None:
    raise ValueError(f"the agent did not answer in turn {number}")


def _of_logger(logger: Any, where: str) -> Any:
    if where == "below":
        return says(logger.debug, logger.debug, head=FRAME)
    return says(logger.info, logger.exception, head=FRAME if where == "filtered" else "state")


def _no_frame(record: Any) -> bool:
    return not str(record.msg).startswith(FRAME)


# -- calls -------------------------------------------------------------------------------------------------------------

_call_sid: ContextVar[str | None] = ContextVar("call_sid", default=None)


def in_call(library: str, call_sid: str) -> contextlib.AbstractContextManager[Any]:
    """A call as a library's users have it on their lines: a context variable, of their own or of the library."""
    if library == "ours":
        import otel_logging

        return otel_logging.call(call_sid)
    if library.startswith("structlog"):
        from structlog.contextvars import bound_contextvars

        return bound_contextvars(call_sid=call_sid)
    return _variable_set(call_sid)


@contextlib.contextmanager
def _variable_set(call_sid: str) -> Iterator[None]:
    token = _call_sid.set(call_sid)
    try:
        yield
    finally:
        _call_sid.reset(token)


# -- the libraries -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def ours(where: str) -> Iterator[Any]:
    """otel-logging by `configure()`, redaction of secrets included; frames are dropped by the bundled policies."""
    import otel_logging

    exporters = {"otlp": "otlp", "json": "none", "in_call": "none"}.get(where, "local")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as store:
        otel_logging.configure(
            logs_exporter=exporters, store=store, log_json="1", log_level="INFO", recorder="off",
            log_console="on" if where in {"json", "in_call"} else "off",
        )  # fmt: skip
        yield _of_logger(logging.getLogger(NAME), where)
        otel_logging.shutdown(5.0)


@contextlib.contextmanager
def ours_remembered(where: str) -> Iterator[Any]:
    """The same in a call, with the flight recorder on: what is dropped is remembered."""
    import otel_logging

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as store:
        otel_logging.configure(logs_exporter="local", store=store, log_level="INFO", log_console="off")
        with otel_logging.call("CA" + "5" * 32):
            yield _of_logger(logging.getLogger(NAME), where)
        otel_logging.shutdown(5.0)


def _stdlib_console(formatter: logging.Formatter, where: str) -> Any:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    if where == "filtered":
        handler.addFilter(_no_frame)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    return _of_logger(logging.getLogger(NAME), where)


@contextlib.contextmanager
def stdlib(where: str) -> Iterator[Any]:
    """The standard library: a text line, as it has no JSON; a filter on the handler."""
    yield _stdlib_console(logging.Formatter("[%(asctime)s] %(levelname)-8s [%(module)s] %(message)s"), where)


def _with_call_sid(record: logging.LogRecord) -> bool:
    """The filter with which a service has the call on each line; python-json-logger prints what a record has."""
    record.call_sid = _call_sid.get()
    return True


@contextlib.contextmanager
def python_json_logger(where: str) -> Iterator[Any]:
    """The standard library with a JSON formatter; in calls, with a filter that reads a context variable."""
    from pythonjsonlogger.json import JsonFormatter

    yield _json_logger(JsonFormatter, where, json_ensure_ascii=False)


@contextlib.contextmanager
def python_json_logger_msgspec(where: str) -> Iterator[Any]:
    """The same with the fastest of its encoders."""
    from pythonjsonlogger.msgspec import MsgspecFormatter

    yield _json_logger(MsgspecFormatter, where)


def _json_logger(formatter: Any, where: str, **options: Any) -> Any:
    found = _stdlib_console(
        formatter("{levelname}{module}{message}{name}", style="{", timestamp=True, **options), where
    )
    if where == "in_call":
        logging.getLogger().handlers[0].addFilter(_with_call_sid)
    return found


@contextlib.contextmanager
def ddtrace(where: str) -> Iterator[Any]:
    """Datadog's tracer with log injection: JSON by python-json-logger, and its own OTLP export."""
    os.environ |= {
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_TRACE_AGENT_URL": os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
        "DD_LOGS_INJECTION": "true", "DD_LOGS_OTEL_ENABLED": "true" if where == "otlp" else "false",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "DD_CRASHTRACKING_ENABLED": "false",
    }  # fmt: skip
    import ddtrace.auto  # noqa: F401 (sets itself up)

    if where == "otlp":
        import opentelemetry._logs  # noqa: F401 (only then is its handler there)

        logging.getLogger().setLevel(logging.INFO)
        logging.getLogger("urllib3").setLevel(logging.WARNING)
        yield _of_logger(logging.getLogger(NAME), where)
    else:
        from pythonjsonlogger.json import JsonFormatter

        yield _stdlib_console(
            JsonFormatter("{asctime}{levelname}{module}{message}{name}", style="{", json_ensure_ascii=False), where
        )


@contextlib.contextmanager
def structlog(where: str) -> Iterator[Any]:
    """Structlog alone, as it is set up for JSON: a filtering logger, `json`, lines written to the stream."""
    import structlog as library

    yield _structlog_alone(library.processors.JSONRenderer(ensure_ascii=False), library.WriteLoggerFactory(), where)


@contextlib.contextmanager
def structlog_fastest(where: str) -> Iterator[Any]:
    """The same as structlog's page on performance has it: another encoder, bytes written to the stream."""
    import msgspec
    import structlog as library

    def dumps(event: Any, default: Any, **_: Any) -> bytes:
        return encode(event, enc_hook=default)

    encode = msgspec.json.encode
    yield _structlog_alone(library.processors.JSONRenderer(serializer=dumps), library.BytesLoggerFactory(), where)


def _structlog_alone(renderer: Any, factory: Any, where: str) -> Any:
    """Frames end in a processor. The standard library is not in its way, and other libraries' lines are no JSON."""
    import structlog as library

    def no_frames(_: Any, __: str, event: Any) -> Any:
        if str(event["event"]).startswith(FRAME):
            raise library.DropEvent
        return event

    processors: list[Any] = [
        library.contextvars.merge_contextvars, library.processors.add_log_level, library.processors.format_exc_info,
        library.processors.TimeStamper(fmt="iso", utc=True), renderer,
    ]  # fmt: skip
    if where == "filtered":
        processors.insert(0, no_frames)
    library.configure(
        cache_logger_on_first_use=True,
        wrapper_class=library.make_filtering_bound_logger(logging.INFO),
        processors=processors,
        logger_factory=factory,
    )
    return _structlog_says(library.get_logger().bind(logger=NAME), where)


@contextlib.contextmanager
def structlog_stdlib(where: str) -> Iterator[Any]:
    """Structlog in front of the standard library, as its page on that has it: other libraries' lines come out alike."""
    import msgspec
    import structlog as library

    def dumps(event: Any, default: Any, **_: Any) -> str:
        return encode(event, enc_hook=default).decode()

    encode = msgspec.json.encode
    shared: list[Any] = [
        library.contextvars.merge_contextvars, library.stdlib.add_log_level, library.stdlib.add_logger_name,
        library.processors.TimeStamper(fmt="iso", utc=True), library.processors.format_exc_info,
    ]  # fmt: skip
    library.configure(
        cache_logger_on_first_use=True,
        wrapper_class=library.make_filtering_bound_logger(logging.INFO),
        processors=[*shared, library.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=library.stdlib.LoggerFactory(),
    )
    formatter = library.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            library.stdlib.ProcessorFormatter.remove_processors_meta,
            library.processors.JSONRenderer(serializer=dumps),
        ],
    )
    _stdlib_console(formatter, where)
    yield _structlog_says(library.get_logger(NAME), where)


def _structlog_says(logger: Any, where: str) -> Any:
    info = logger.debug if where == "below" else logger.info
    head = FRAME if where in {"below", "filtered"} else "state"
    return _with_keywords(info, logger.exception, "%s: turn %%d of the call has begun", head)


@contextlib.contextmanager
def loguru(where: str) -> Iterator[Any]:
    """Loguru with `serialize=True`; a filter on the sink."""
    from loguru import logger

    logger.remove()
    logger.add(
        sys.stdout, level="INFO", serialize=True, backtrace=False, diagnose=False,
        filter=(lambda record: not record["message"].startswith(FRAME)) if where == "filtered" else None,
    )  # fmt: skip
    info = logger.debug if where == "below" else logger.info
    head = FRAME if where in {"below", "filtered"} else "state"
    yield _with_keywords(info, logger.exception, "%s: turn {} of the call has begun", head)


@contextlib.contextmanager
def picologging(where: str) -> Iterator[Any]:
    """picologging: a text line, as its JSON is that of its users; a filter on the handler."""
    import picologging as library

    handler = library.StreamHandler(sys.stdout)
    handler.setFormatter(library.Formatter("[%(asctime)s] %(levelname)s [%(module)s] %(message)s"))
    if where == "filtered":
        handler.addFilter(_no_frame)
    logger = library.Logger(NAME, library.INFO)
    logger.addHandler(handler)
    yield _of_logger(logger, where)


@contextlib.contextmanager
def official(where: str) -> Iterator[Any]:
    """The official OpenTelemetry handler, batch processor and OTLP exporter."""
    from opentelemetry._logs import set_logger_provider
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider()
    set_logger_provider(provider)
    provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    handler = LoggingHandler(logger_provider=provider)
    if where == "filtered":
        handler.addFilter(_no_frame)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    yield _of_logger(logging.getLogger(NAME), where)
    provider.shutdown()


@contextlib.contextmanager
def logfire(where: str) -> Iterator[Any]:
    """Logfire behind the standard library; its records are spans of no length, sent by OTLP."""
    import logfire as library
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    library.configure(
        send_to_logfire=False, console=False, inspect_arguments=False,
        additional_span_processors=[BatchSpanProcessor(OTLPSpanExporter())],
    )  # fmt: skip
    handler = library.LogfireLoggingHandler(fallback=logging.NullHandler())
    if where == "filtered":
        handler.addFilter(_no_frame)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    yield _of_logger(logging.getLogger(NAME), where)
    library.shutdown()


LIBRARIES: dict[str, Callable[[str], contextlib.AbstractContextManager[Any]]] = {
    "ours": ours, "ours_remembered": ours_remembered, "stdlib": stdlib, "official": official,
    "structlog": structlog, "structlog_fastest": structlog_fastest, "structlog_stdlib": structlog_stdlib,
    "loguru": loguru, "picologging": picologging, "python_json_logger": python_json_logger,
    "python_json_logger_msgspec": python_json_logger_msgspec, "logfire": logfire,
    "ddtrace": ddtrace,
}  # fmt: skip
