"""Transforms, redaction first of all, on OTel records and the console's line alike, and on texts that are remembered.

What a policy changes is the policy engine's knowledge; here records are made readable to it and written back. A record
is changed once: what has been is marked, so that several destinations, or a processor after our pipeline, leave it.
Nothing here raises: what fails leaves the record as it is, counted with the policy or reported.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from otel_logging import trouble
from otel_logging.bridge import translate
from otel_logging.bridge.values import safe_str
from otel_logging.export.lines import Texts
from otel_logging.export.tracebacks import shortened
from otel_logging.policy.view import LogView

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping

    from opentelemetry._logs import LogRecord
    from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord

    from otel_logging.policy.engine import PolicySet

_RESOURCE: Final = "_otel_logging_resource"  # resource attributes that policies changed, for `on_emit` to put in place
_SCOPE: Final = "_otel_logging_scope"
_NAME: Final = "logger.name"


def transform(
    policies: PolicySet,
    record: LogRecord,
    *,
    scope_name: str | None = None,
    scope_attributes: Mapping[str, Any] | None = None,
    resource: Mapping[str, Any] | None = None,
    evaluated: bool = False,
) -> bool:
    """Change `record` as the policies say, unless that was done before; tells whether it was, now or before.

    Changes of the resource and the scope, which records share, wait on the record for `share`.

    Args:
        policies: those in force.
        record: an OTel record that is kept.
        scope_name: its logger's name.
        scope_attributes: its scope's attributes.
        resource: its resource's attributes.
        evaluated: whether `PolicySet.evaluate` has counted it.
    """
    done = getattr(record, translate.TRANSFORMED, None)
    if done is not None:
        return bool(done)
    if not policies.has_transforms:
        return False
    changed = False
    try:
        changed = _transform(policies, record, scope_name, scope_attributes or {}, resource or {}, evaluated=evaluated)
        changed = _hide_name(policies, record) or changed
    except Exception as error:
        trouble.report("policy", f"a record was not transformed: {type(error).__name__}: {safe_str(error)}")
    setattr(record, translate.TRANSFORMED, changed)
    return changed


def _transform(
    policies: PolicySet,
    record: LogRecord,
    scope_name: str | None,
    scope_attributes: Mapping[str, Any],
    resource: Mapping[str, Any],
    *,
    evaluated: bool,
) -> bool:
    given: Any = record.attributes
    attributes = given if type(given) is dict else dict(given or {})
    number = record.severity_number
    view = LogView(
        record.body,
        number.value if number is not None else 0,
        record.severity_text,
        attributes=attributes,
        event_name=record.event_name,
        trace_id=record.trace_id,
        span_id=record.span_id,
        resource_attributes=resource,
        scope_name=scope_name,
        scope_attributes=scope_attributes,
    )
    before = view.attributes
    if not policies.transform(view, evaluated=evaluated):
        return False
    record.body = view.body
    record.severity_text = view.severity_text
    record.event_name = view.event_name
    record.trace_id, record.span_id = _number(view.trace_id), _number(view.span_id)
    if view.attributes is not before:
        _put(record, given, view.attributes)
    if resource and view.resource_attributes is not resource:
        setattr(record, _RESOURCE, dict(view.resource_attributes))
    if view.scope_attributes is not scope_attributes and (scope_attributes or view.scope_attributes):
        setattr(record, _SCOPE, dict(view.scope_attributes))
    return True


def _hide_name(policies: PolicySet, record: LogRecord) -> bool:
    """A logger's name is a text like any other: some applications make one for each caller."""
    attributes = record.attributes or {}
    name = attributes.get(_NAME)
    if type(name) is not str or (shown := policies.redact_name(name)) == name:
        return False
    _put(record, record.attributes, {**attributes, _NAME: shown})
    return True


def _number(value: Any) -> int:
    """An id as the OTel API has it."""
    if isinstance(value, bytes):
        return int.from_bytes(value, "big")
    return value if isinstance(value, int) else 0


def _put(record: LogRecord, given: Any, changed: Mapping[str, Any]) -> None:
    if type(given) is dict or given is None:
        record.attributes = dict(changed)
        return
    # The SDK's own mapping has limits and counts what they cost: it stays, with other contents.
    for key in [key for key in given if key not in changed]:
        del given[key]
    for key, value in changed.items():
        if key not in given or given[key] is not value:
            given[key] = value


def on_emit(policies: PolicySet, emitted: ReadWriteLogRecord, *, evaluated: bool = False) -> None:
    """Transform a record that is on its way to exporters, with a resource and a scope of its own where they change."""
    record, scope, resource = emitted.log_record, emitted.instrumentation_scope, emitted.resource
    if record.__dict__.get(translate.TRANSFORMED) is False:
        return  # nothing had to be changed, and its logger has been made under a name that may be shown
    transform(
        policies,
        record,
        scope_name=scope.name if scope is not None else None,
        scope_attributes=scope.attributes if scope is not None else None,
        resource=resource.attributes if resource is not None else None,
        evaluated=evaluated,
    )
    try:
        share(policies, record, emitted)
    except Exception as error:
        trouble.report("policy", f"a resource was not transformed: {type(error).__name__}: {safe_str(error)}")


def share(policies: PolicySet, record: LogRecord, holder: Any) -> None:
    """Put what changed into `holder`, which has `resource` and `instrumentation_scope`."""
    changed = getattr(record, _RESOURCE, None)
    if changed is not None and holder.resource is not None:
        from opentelemetry.sdk.resources import Resource

        holder.resource = Resource(changed, holder.resource.schema_url)
    changed = getattr(record, _SCOPE, None)
    scope = holder.instrumentation_scope
    if scope is None:
        return
    name = policies.redact_name(scope.name)
    if changed is not None or name != scope.name:
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        attributes = scope.attributes if changed is None else changed
        holder.instrumentation_scope = InstrumentationScope(name, scope.version, scope.schema_url, attributes)


def readable(policies: PolicySet, given: ReadableLogRecord, *, evaluated: bool = False) -> ReadableLogRecord:
    """A finished record as the policies leave it: a copy where they change anything, as other exporters share it."""
    done = getattr(given.log_record, translate.TRANSFORMED, None)
    if done is not None or not policies.has_transforms:
        return given
    record = copy.copy(given.log_record)
    record.attributes = dict(record.attributes or {})
    scope = given.instrumentation_scope
    changed = transform(
        policies,
        record,
        scope_name=scope.name if scope is not None else None,
        scope_attributes=scope.attributes if scope is not None else None,
        resource=given.resource.attributes,
        evaluated=evaluated,
    )
    if not changed:
        return given
    made = copy.copy(given)
    # The SDK's class is frozen for others' sake; this copy is nobody's yet.
    object.__setattr__(made, "log_record", record)
    holder = _Holder(given)
    share(policies, record, holder)
    object.__setattr__(made, "resource", holder.resource)
    object.__setattr__(made, "instrumentation_scope", holder.instrumentation_scope)
    return made


class _Holder:
    """Somewhere to put a resource and a scope."""

    def __init__(self, given: ReadableLogRecord) -> None:
        self.resource: Any = given.resource
        self.instrumentation_scope: Any = given.instrumentation_scope


def printable(policies: PolicySet, record: logging.LogRecord, log_record: LogRecord) -> Texts:
    """What the console is to print of `record`: what `log_record` says, so that nothing is rendered a second time.

    The application's own record is never changed: its other handlers are its own business.
    """
    body, attributes = log_record.body, log_record.attributes or {}
    exception = attributes.get("exception.stacktrace")
    if not isinstance(exception, str):
        exception = ""
        if record.exc_info is None and record.exc_text is not None:
            # It came through a queue, which keeps the text only; no attribute holds that.
            exception = shortened(policies.redact_text(safe_str(record.exc_text)))
    stack = attributes.get("code.stacktrace")
    return Texts(
        body if isinstance(body, str) else "" if body is None else safe_str(body),
        exception.rstrip("\n"),
        stack if isinstance(stack, str) else "",
    )


def named(policies: PolicySet, record: logging.LogRecord) -> logging.LogRecord:
    """The record under a logger's name that may be shown; a copy where that is another one."""
    given: Any = record.name  # of a record made by hand it may be anything, with an idea of its own of being equal
    name = policies.redact_name(safe_str(given))
    if type(given) is str and name == given:
        return record
    shown = copy.copy(record)
    shown.name = name
    return shown


def values(policies: PolicySet, attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes that come to a record late, redacted."""
    if not policies.has_transforms or not attributes:
        return attributes
    view = LogView(attributes=attributes)
    policies.redact(view)
    return dict(view.attributes)


def remembered(policies: Callable[[], PolicySet]) -> Callable[[str, dict[str, Any]], tuple[str, dict[str, Any]]]:
    """A function for what is remembered: a text and its attributes, as they may leave memory.

    Args:
        policies: gives the policies in force, asked each time, as they may be exchanged.
    """

    def redact(text: str, attributes: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        view = LogView(text, attributes=attributes)
        try:
            policies().transform(view)
        except Exception as error:
            trouble.report("policy", f"a remembered text was not transformed: {type(error).__name__}")
        changed = dict(view.attributes)
        if isinstance(name := changed.get(_NAME), str):
            changed[_NAME] = policies().redact_name(name)
        return view.body if isinstance(view.body, str) else safe_str(view.body or ""), changed

    return redact


def echo(policies: PolicySet, record: logging.LogRecord) -> logging.LogRecord:
    """A record that goes to the console without having been translated, as it may be printed there."""
    if not policies.has_transforms:
        return record
    shown = copy.copy(record)
    shown.name = policies.redact_name(safe_str(record.name))
    shown.msg, shown.args = policies.redact_text(translate.body_of(record)), None
    stack = translate.exception_attributes(record).get("exception.stacktrace") or record.exc_text
    shown.exc_info, shown.exc_text = None, policies.redact_text(str(stack).rstrip("\n")) if stack else None
    shown.stack_info = policies.redact_text(str(record.stack_info)) if record.stack_info else None
    return shown
