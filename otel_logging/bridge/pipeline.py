"""What happens to a stdlib record that passed its level: verdict, translation, console, OTel, each exactly once.

`Pipeline.handle` is called for every record by the hook in `gate`, in the thread that logged, and never raises. Nothing
here patches anything, starts anything or knows how the pipeline was put together: that is `boot.configure`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import get_current_span

from otel_logging import trouble
from otel_logging.bridge import attribute_limit, direct, ordinary, redact, scope, suppressed, translate
from otel_logging.bridge.interrupted import interrupted
from otel_logging.bridge.overrides import enabled_without
from otel_logging.bridge.this_thread import MAX_DEPTH, call_key, thread
from otel_logging.bridge.values import clean_name, passes, safe_str
from otel_logging.export.guard import exporting
from otel_logging.policy.engine import KEPT
from otel_logging.policy.view import LogView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry._logs import Logger, LoggerProvider, LogRecord

    from otel_logging.bridge.late import Late
    from otel_logging.bridge.ledger import Ledger
    from otel_logging.bridge.partners import Guards, Overrides, Recorder
    from otel_logging.bridge.scope import CallScope
    from otel_logging.export.console import Console
    from otel_logging.policy.engine import PolicySet, Verdict

_MAX_LOGGERS: Final = 2048  # a logger a call would grow the SDK's cache for ever; beyond this they share one
_MAX_LATE: Final = 1_000  # records of signal handlers that wait until this thread has finished the one it is at
_OVERFLOW_LOGGER: Final = "otel_logging.overflow"
# What our own exporters say while they work would be exported by them in turn, for ever.
_EXPORT_LOGGERS: Final = ("opentelemetry", "urllib3", "requests", "grpc", "httpx", "httpcore")


class Pipeline:
    """Everything one process needs to turn stdlib records into console lines and OTel records.

    Args:
        policies: the rules; replaced as a whole by assigning `policies`.
        books: where records are counted.
        floor: records below this level are no records at all (LOG_LEVEL).
        provider: where OTel records go, or None for console only.
        console: where lines go, or None.
        resource: the process's resource attributes, which policies may read.
    """

    def __init__(
        self,
        *,
        policies: PolicySet,
        books: Ledger,
        floor: int = logging.NOTSET,
        provider: LoggerProvider | None = None,
        console: Console | None = None,
        resource: Mapping[str, Any] | None = None,
    ) -> None:
        self.on_change: Callable[[], None] | None = None
        """Called after `policies`, `recorder` or `overrides` was assigned; set by the gate."""
        self._policies = policies
        self._recorder: Recorder | None = None
        self._overrides: Overrides | None = None
        self.books = books
        self.floor = floor
        self.provider = provider
        self.alias: LoggerProvider | None = None  # OTel's global provider, where it leads to the same destinations
        self.console = console
        self.before_first_line: Callable[[], None] | None = None
        self.guards: Guards | None = None
        self.resource = dict(resource or {})
        self.most_attributes: int | None = 128  # of one record; `providers` sets what the environment says
        self.direct: direct.Direct | None = None  # past the SDK, where nothing but ours is behind `provider`
        self._late: Late | None = None
        self._foreign = False
        self._loggers: dict[str, Logger] = {}

    # What the gate's short way rests on.

    @property
    def late(self) -> Late | None:
        """Takes records that nobody need look at where they are made; None where somebody always does."""
        return self._late

    @late.setter
    def late(self, late: Late | None) -> None:
        self._late = late
        self._changed()

    @property
    def policies(self) -> PolicySet:
        """The rules in force."""
        return self._policies

    @policies.setter
    def policies(self, policies: PolicySet) -> None:
        self._policies = policies
        self._changed()

    @property
    def recorder(self) -> Recorder | None:
        """The flight recorder, None where it is off."""
        return self._recorder

    @recorder.setter
    def recorder(self, recorder: Recorder | None) -> None:
        self._recorder = recorder
        self._changed()

    @property
    def overrides(self) -> Overrides | None:
        """What lets messages through against every rule, None where there cannot be any."""
        return self._overrides

    @overrides.setter
    def overrides(self, overrides: Overrides | None) -> None:
        self._overrides = overrides
        self._changed()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()

    def use_foreign(self, provider: LoggerProvider) -> None:
        """Send OTel records to a provider that is not ours; it keeps no books, so handing over counts as exported."""
        self._loggers.clear()
        self.provider, self.direct, self.late = provider, None, None
        self._foreign = True

    def view(self, name: str, level: Any, text: str, extra: Mapping[str, Any] | None) -> LogView:
        """A log call as policies see it: what its OTel record will hold, before there is one."""
        call = scope.current.get()
        attributes: dict[str, Any] = {"logger.name": name}
        trace_id = span_id = 0
        span = get_current_span().get_span_context()
        if span.is_valid:
            trace_id, span_id = span.trace_id, span.span_id
        if call is not None:
            attributes.update(call.attributes)
            if call.call_sid is not None:
                attributes["call_sid"] = call.call_sid
                trace_id, span_id = trace_id or call.trace_id, span_id or call.span_id
        attributes.update(extra or {})
        return LogView(
            text,
            translate.severity_number(level).value,
            translate.severity_text(logging.getLevelName(level)),
            attributes=attributes,
            trace_id=trace_id,
            span_id=span_id,
            resource_attributes=self.resource,
            scope_name=name,
        )

    def verdict(self, record: logging.LogRecord) -> Verdict:
        """The verdict on a record that the gate has not seen (`Logger.handle`, `Logger._log`). Fails open."""
        try:
            view = self.view(record.name, record.levelno, translate.body_of(record), translate.extras_of(record))
            found = self.policies.evaluate(view, call_key())
        except Exception as error:
            trouble.report("policy", f"a record was kept because the policies failed on it: {safe_str(error)}")
            return KEPT
        if found.keep and found.policy is not None:
            thread.suppressed = suppressed.take(scope.current.get(), f"rate_limited:{found.policy}")
        return found

    def handle(  # noqa: C901 (what may go wrong where is told apart here, and nowhere else)
        self, record: logging.LogRecord, *, judged: bool = False, trigger: str | None = None
    ) -> None:
        """Take one stdlib record through the rest of its way. Never raises; counts what it cannot deliver.

        `judged`: the gate has let it pass, and it is not to be judged, and charged to a rate limit, again.
        `trigger`: it passes only because of an override, which it is to carry; the console does not show it.
        """
        if judged and trigger is None and self._late is not None and self._late.take(record):
            return
        try:
            if judged or (trigger := self._lifted(record)) is not None:
                verdict = KEPT
            elif record.levelno < self.floor:
                record.__dict__[translate.MARK] = True
                return
            else:
                verdict = self.verdict(record)
                if not verdict.keep and (trigger := self._override(record)) is not None:
                    verdict = KEPT
        except Exception:
            verdict = KEPT  # a level that is no number, a record without a message: let translation repair it
        try:
            self.books.created()
        except Exception:
            return  # no memory, or no stack, for so much as a number
        try:
            if verdict.keep:
                self._route(record, trigger)
            else:
                self.books.dropped(verdict.reason)
                suppressed.count(scope.current.get(), verdict.reason)
                record.__dict__[translate.MARK] = True
        except BaseException as error:
            if thread.rescued is not record:
                self._lost(error)
            thread.rescued = None
            if passes(error):
                raise

    def _route(self, record: logging.LogRecord, trigger: str | None) -> None:
        """Keep a record, unless it was made by our own work."""
        if thread.depth > MAX_DEPTH:
            self.books.dropped("recursion")
        elif exporting.active and clean_name(record.name).partition(".")[0] in _EXPORT_LOGGERS:
            exporting.note(translate.body_of(record))
            self.books.dropped("internal")
        elif thread.inside and interrupted() and len(thread.late or ()) < _MAX_LATE:
            record.__dict__[translate.MARK] = True
            thread.late = [*(thread.late or ()), (record, trigger)]
        elif thread.inside:
            self.books.dropped("internal")  # made by the console's stream or a processor, while it worked for us
            if self.console is not None and self.console.writing:
                # Stdout logs what is written to it: the console finds a way round that.
                self.console.write(redact.echo(self.policies, record))
        else:
            self._keep(record, trigger)

    def _lifted(self, record: logging.LogRecord) -> str | None:
        """The override but for which a record that the gate has not seen would not have been made, None without."""
        if self.overrides is None or not self.overrides.active:
            return None
        logger = logging.root.manager.loggerDict.get(record.name, logging.root)
        if isinstance(logger, logging.Logger) and enabled_without(logger, record.levelno):
            return None
        return self._override(record)

    def _override(self, record: logging.LogRecord) -> str | None:
        overrides = self.overrides
        if overrides is None or not overrides.active:
            return None
        return overrides.trigger_for(scope.current.get(), record.name, record.levelno)

    def too_deep(self) -> None:
        """A record is left out because it was made while others were, again and again."""
        self.books.created()
        self.books.dropped("recursion")
        trouble.report("recursion", "an object logs while it is being logged, again and again; the innermost go")

    def _lost(self, error: BaseException) -> None:
        try:
            self.books.dropped("internal_error")
            trouble.report("internal_error", f"a record was lost to {trouble.sentence(error)}")
        except Exception:
            pass  # no memory, or no stack, to say so

    def _keep(self, record: logging.LogRecord, trigger: str | None) -> None:
        before, self.before_first_line = self.before_first_line, None
        if before is not None:
            before()
        call = scope.current.get()
        log_record = self._marked(record, trigger, call)
        if call is not None and self.recorder is not None:
            self.recorder.saw(call.memory, record)  # before the record is sent, as what led to it comes first
        thread.inside, sending = True, False
        try:
            printed = (trigger is None or self.floor <= logging.DEBUG) and self._print(record, log_record)
            if self.provider is not None:
                name, sending = clean_name(record.name), True
                if not self._wait_for_name(name, log_record, call):
                    self._emit(name, log_record)
            elif printed:
                self.books.exported()
            else:
                self.books.dropped("no_destination")
        except BaseException as error:
            # A signal handler ends the program while this line is being printed: it goes on its way all the same.
            if passes(error) and not sending and self.provider is not None:
                self._emit(clean_name(record.name), log_record)
                thread.rescued = record
            raise
        finally:
            thread.inside = False
            if thread.late:
                self.catch_up()

    def _marked(self, record: logging.LogRecord, trigger: str | None, call: CallScope | None) -> LogRecord:
        """The OTel record, with what it has to tell of those before it, and of why it passes."""
        held_back, thread.suppressed = thread.suppressed, 0
        # The application's own __str__ and __repr__ run in here, and what they log is a record like any other.
        thread.depth += 1
        try:
            log_record = self.translate(record, call)
        finally:
            thread.depth -= 1
        record.__dict__[translate.MARK] = True
        if call is not None:
            counts = call.memory.counts
            counts["kept"] = counts.get("kept", 0) + 1
        held_back += suppressed.accept(record)
        if held_back and isinstance(log_record.attributes, dict):
            log_record.attributes[translate.SUPPRESSED] = held_back
        if trigger is not None and isinstance(log_record.attributes, dict):
            log_record.attributes[translate.TRIGGER] = trigger
        return log_record

    def catch_up(self) -> None:
        """Keep what signal handlers have logged while this thread was inside."""
        while late := thread.late:
            thread.late = None
            for record, trigger in late:
                self._keep_late(record, trigger)

    def _keep_late(self, record: logging.LogRecord, trigger: str | None) -> None:
        try:
            self._keep(record, trigger)
        except Exception as error:
            self._lost(error)

    def _wait_for_name(self, name: str, log_record: LogRecord, call: CallScope | None) -> bool:
        """Whether the record waits for its call to be named. What need not wait any more takes the name at once."""
        if call is None or "call_sid" in (log_record.attributes or {}):
            return False
        if call.waiting and call.hold(
            lambda named: self._deliver(name, log_record, named), translate.bytes_of(log_record)
        ):
            return True
        if call.call_sid is not None:  # named by another thread while this record was being translated
            translate.join_call(log_record, call)
        return False

    def translate(self, record: logging.LogRecord, call: CallScope | None) -> LogRecord:
        """The enriched OTel record of a stdlib record, with its call and trace."""
        if (short := ordinary.log_record(record, call, self._policies, self.most_attributes)) is not None:
            return short
        body = translate.body_of(record)
        extras, event_name = translate.named_extras(record, call.attributes if call is not None else None)
        log_record = translate.enriched(record, body, extras, event_name=event_name)
        setattr(log_record, translate.VERDICT, KEPT)
        translate.join_call(log_record, call)
        attribute_limit.keep(log_record, self.most_attributes)
        redact.transform(self.policies, log_record, scope_name=clean_name(record.name), resource=self.resource)
        return log_record

    def _print(self, record: logging.LogRecord, log_record: LogRecord) -> bool:
        if self.console is None or self.console.silent(record.levelno):
            return False
        redact.transform(self.policies, log_record, scope_name=record.name, resource=self.resource)  # if remembered
        attributes = dict(log_record.attributes or {})
        sid = attributes.pop("call_sid", None)
        if sid is not None and not isinstance(sid, str):
            sid = safe_str(sid)
        extras = {
            key: value
            for key, value in attributes.items()
            if key != "logger.name" and not key.startswith(("code.", "exception."))
        }
        return self.console.write(
            redact.named(self.policies, record),
            call_sid=sid,
            trace_id=f"{log_record.trace_id:032x}" if log_record.trace_id else None,
            span_id=f"{log_record.span_id:016x}" if log_record.span_id else None,
            attributes=extras,
            texts=redact.printable(self.policies, record, log_record),
        )

    def tell(self, name: str, log_record: LogRecord) -> None:
        """Send a record of our own to the exporters, never to the console. It is in the books like any other."""
        if self.provider is None:
            return
        setattr(log_record, translate.VERDICT, KEPT)
        self.books.created()
        inside, thread.inside = thread.inside, True
        try:
            self._emit(name, log_record)
        except Exception as error:
            self._lost(error)
        finally:
            thread.inside = inside

    def give_back(self, name: str, log_record: LogRecord, reason: str | None) -> bool:
        """Send a message to the exporters that was dropped for `reason`, or that was below its level (None).

        In the books it is no longer dropped. The console shows it at LOG_LEVEL=DEBUG only. False if it got lost.
        """
        if self.provider is None:
            return False
        if reason is None:
            self.books.created()
        else:
            self.books.dropped(reason, -1)
        inside, thread.inside = thread.inside, True
        try:
            if self.floor <= logging.DEBUG:
                self._print(translate.back(name, log_record), log_record)
            self._emit(name, log_record)
        except Exception as error:
            self._lost(error)
            return False
        else:
            return True
        finally:
            thread.inside = inside

    def _deliver(self, name: str, log_record: LogRecord, call: CallScope) -> None:
        """The call has a name now, or will have none in time."""
        try:
            translate.join_call(log_record, call)
            if isinstance(log_record.attributes, dict):
                for key, value in redact.values(self.policies, translate.named(call.attributes)).items():
                    log_record.attributes.setdefault(key, value)
        except Exception as error:
            trouble.report("internal_error", f"a record could not be given its call: {safe_str(error)}")
        inside, thread.inside = thread.inside, True
        try:
            self._emit(name, log_record)
        except Exception as error:
            self._lost(error)
        finally:
            thread.inside = inside

    def _emit(self, name: str, log_record: LogRecord) -> None:
        logger = self._loggers.get(name)
        if logger is None:
            if self.provider is None:
                return
            if len(self._loggers) >= _MAX_LOGGERS:
                name = _OVERFLOW_LOGGER
            logger = self._loggers[name] = self.provider.get_logger(self.policies.redact_name(name))
        if self.direct is not None and self.direct.take(log_record, logger):
            if self.late is not None:
                self.late.learn(name, logger)
            return
        attribute_limit.keep(log_record, self.most_attributes)  # what a call or an override has added since
        redact.transform(self.policies, log_record, scope_name=name, resource=self.resource)  # what was remembered
        sdk_record: Any = direct.writable(log_record, logger) or log_record
        logger.emit(sdk_record)
        if self._foreign:
            self.books.exported()
