"""The gate: what a policy drops is dropped before any `logging.LogRecord` exists.

One patch of `logging.Logger`, idempotent and undoable: the methods that applications call, and `callHandlers`,
through which every record passes once whatever the application does to handlers, propagation or configuration.

The replaced methods stand where the originals stood: as many frames deep, and compiled under logging's own file name,
so that `findCaller` and `stacklevel` count as before on every Python version. They are this module's hot path, which
is why they are generated from one template: one call more would cost as much as the whole decision.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from otel_logging.bridge import scope, suppressed, translate
from otel_logging.bridge.overrides import enabled_without
from otel_logging.bridge.pipeline import MAX_DEPTH, call_key, thread
from otel_logging.bridge.reasons import REPEAT_GUARD
from otel_logging.policy import shapes
from otel_logging.policy.engine import KEPT, Verdict

if TYPE_CHECKING:
    from otel_logging.bridge.pipeline import Pipeline
    from otel_logging.bridge.scope import CallScope
    from otel_logging.policy.engine import PolicySet

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_SOURCE_FILE: Final = logging.addLevelName.__code__.co_filename
_MAX_CACHED: Final = 16_384  # match sets by shape of message; emptied when full, as what matters comes back at once
_MAX_CACHED_TEXT: Final = 512  # characters; longer messages are rare, and not worth their memory

_TEMPLATE: Final = """
def {name}(self, {head}msg, *args, **kwargs):
    {check}
    if self.isEnabledFor({level}):
        if not _passes(self, {level}, msg, args, kwargs):
            return
    else:
        call = _current()
        if call is None or not _below(self, {level}, msg, args, kwargs, call):
            return
    before = _thread.passed
    _thread.passed = self
    _thread.depth += 1
    try:
        self._log({level}, msg, args, **kwargs)
    finally:
        _thread.depth -= 1
        _thread.passed = before
        _thread.trigger = None
"""

_ONE_MORE: Final = Verdict(keep=False, reason=REPEAT_GUARD)

_originals: dict[str, Any] = {}
_replacements: dict[str, Any] = {}
_call_next: Any = logging.Logger.callHandlers  # whatever stood there when the gate was installed
_pipeline: Pipeline | None = None


class _Known:
    """What is known of one set of policies: its table of shapes, and the match sets of messages seen."""

    __slots__ = ("matches", "policies", "table")

    def __init__(self, policies: PolicySet | None) -> None:
        self.policies = policies
        self.table: bytes | None = None
        if policies is not None and policies.text_only:
            # What keeps all, such as redactions, has no part in a verdict.
            self.table = shapes.table_of(policy for policy in policies.policies if policy.keep.kind != "all")
        self.matches: dict[Any, Any] = {}


_known = _Known(None)


def install(pipeline: Pipeline) -> None:
    """Put the gate in front of every logger of this process. A second call only exchanges the pipeline."""
    global _pipeline, _call_next
    _pipeline = pipeline
    aliased = logging.Logger.__dict__.get("fatal") is logging.Logger.__dict__.get("critical")  # up to Python 3.12
    for name in (*_LEVELS, "log"):
        original = getattr(logging.Logger, name)
        # A method that another tool has replaced is left to it: its records are judged in `callHandlers`.
        if getattr(getattr(original, "__code__", None), "co_filename", None) == _SOURCE_FILE:
            _replace(name, _make(name, original))
    if aliased and "critical" in _replacements:
        _replace("fatal", _replacements["critical"])
    before = logging.Logger.callHandlers
    if _replace("callHandlers", _call_handlers):
        _call_next = before


def _make(name: str, original: Any) -> Any:
    namespace: dict[str, Any] = {
        "_passes": _passes, "_below": _below, "_current": scope.current.get, "_thread": thread, "_bad_level": _bad_level
    }  # fmt: skip
    source = _TEMPLATE.format(
        name=name,
        level=str(_LEVELS.get(name, "level")),
        head="level, " if name == "log" else "",
        check="if not isinstance(level, int):\n        return _bad_level(level)" if name == "log" else "",
    )
    exec(compile(source, _SOURCE_FILE, "exec"), namespace)  # noqa: S102 (our own template; see the module's docstring)
    made = namespace[name]
    made.__doc__ = original.__doc__
    made.__qualname__ = f"Logger.{name}"
    return made


def _replace(name: str, replacement: Any) -> bool:
    """Put `replacement` in place, unless ours is there already, seen or under somebody else's patch."""
    found = getattr(logging.Logger, name)
    if name in _originals and found is not _originals[name]:
        return False
    _originals[name] = found
    _replacements[name] = replacement
    setattr(logging.Logger, name, replacement)
    return True


def uninstall() -> None:
    """Put back what stood there before; where somebody has patched on top of ours since, ours stays and is inert."""
    global _pipeline, _known
    _pipeline = None
    _known = _Known(None)
    for name, original in list(_originals.items()):
        if logging.Logger.__dict__.get(name) is _replacements[name]:
            setattr(logging.Logger, name, original)
            del _originals[name], _replacements[name]


def forget_matches() -> None:
    """Forget what matched: after the policies changed."""
    global _known
    _known = _Known(None)


def _bad_level(_level: object) -> None:
    """As the standard library: complain only where `logging.raiseExceptions` asks for it."""
    if logging.raiseExceptions:
        raise TypeError("level must be an integer")


def _call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
    """Take the record into our pipeline once, then to the application's own handlers."""
    pipeline = _pipeline
    if pipeline is not None and translate.MARK not in record.__dict__:
        judged = thread.passed is self
        trigger = None
        if judged:
            thread.passed = None
            trigger, thread.trigger = thread.trigger, None
        pipeline.handle(record, judged=judged, trigger=trigger)
    try:
        _call_next(self, record)
    except TypeError:
        if isinstance(record.levelno, (int, float)):
            raise
        # The library compares levels. A record made by hand whose level is no number fits no handler; we have it.


def _passes(logger: logging.Logger, level: int, msg: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """The gate's verdict on a message; counts what it drops. Fails open: what cannot be judged passes."""
    pipeline = _pipeline
    if pipeline is None or thread.inside:
        return True
    try:
        if thread.depth >= MAX_DEPTH:
            pipeline.too_deep()
            return False
        overrides = pipeline.overrides
        if overrides is not None and overrides.active and not enabled_without(logger, level):
            return _let_through(pipeline, logger, level)
        if level < pipeline.floor:
            return _let_through(pipeline, logger, level)
        if level >= logging.WARNING and pipeline.policies.only_frames:
            return pipeline.guards is None or _guarded(pipeline, logger, level, msg, args, kwargs)
        text = msg if type(msg) is str and not args else _render(msg, args)
        verdict = _judge(pipeline, logger, level, text, kwargs)
        if verdict.keep:
            if verdict.policy is not None:  # the guards are for what no rule names
                thread.suppressed = suppressed.take(scope.current.get(), f"rate_limited:{verdict.policy}")
                return True
            return pipeline.guards is None or _guarded(pipeline, logger, level, text, (), kwargs)
        return _dropped(pipeline, logger, level, text, kwargs, verdict.reason)
    except Exception:
        return True  # a message that cannot be rendered is kept, and repaired on its way


def _guarded(
    pipeline: Pipeline, logger: logging.Logger, level: int, msg: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bool:
    """A message that the policies keep, seen by the repeat and storm guards; they look at its call site."""
    call = scope.current.get()
    if pipeline.guards is None or call is None:
        return True
    if args and level >= logging.ERROR:
        msg, args = _render(msg, args), ()  # errors are told apart by what they say
    reason = pipeline.guards.check(call, level, msg, kwargs)
    if reason is None or _let_through(pipeline, logger, level):
        return True
    if level >= logging.WARNING:
        # A storm must not wash the call's frames out of its memory, nor use the window that its first error opened.
        suppressed.count(call, reason)
        pipeline.books.refused(reason)
        return False
    return _dropped(pipeline, logger, level, _render(msg, args), kwargs, reason)


def _dropped(
    pipeline: Pipeline, logger: logging.Logger, level: int, text: str, kwargs: dict[str, Any], reason: str
) -> bool:
    """A message that is not wanted: let through after a trigger, else counted, and remembered if its call remembers."""
    overrides = pipeline.overrides
    if overrides is not None and overrides.active and _let_through(pipeline, logger, level):
        return True
    call = scope.current.get()
    if call is not None:
        memory = call.memory
        if pipeline.recorder is not None:
            if memory.open_until and pipeline.recorder.admits(memory, text):
                thread.trigger = memory.open_reason
                return True
            pipeline.recorder.remember(memory, logger.name, level, text, kwargs, reason)
        counts = memory.counts
        counts[reason] = counts.get(reason, 0) + 1
    else:
        suppressed.count(None, reason)
    pipeline.books.refused(reason)
    return False


def _let_through(pipeline: Pipeline, logger: logging.Logger, level: int) -> bool:
    """Whether a message that would not pass does because of an override."""
    overrides = pipeline.overrides
    if overrides is None or not overrides.active:
        return False
    thread.trigger = overrides.trigger_for(scope.current.get(), logger.name, level)
    return thread.trigger is not None


def _below(
    logger: logging.Logger, level: int, msg: Any, args: tuple[Any, ...], kwargs: dict[str, Any], call: CallScope
) -> bool:
    """A message below its logger's level, within a call: no record, but remembered, and let through after a trigger."""
    pipeline = _pipeline
    if pipeline is None or pipeline.recorder is None or thread.inside:
        return False
    try:
        if not pipeline.recorder.listens(logger):
            return False
        memory = call.memory
        text = _render(msg, args)
        if memory.open_until and pipeline.recorder.admits(memory, text):
            thread.trigger = memory.open_reason
            return True
        pipeline.recorder.remember(memory, logger.name, level, text, kwargs, None)
    except Exception:
        return False  # nobody asked for this message; what it cannot be rendered into is nobody's loss
    return False


def _render(msg: Any, args: tuple[Any, ...]) -> str:
    thread.depth += 1  # what the application's __str__ logs in here is nested
    try:
        text = str(msg)
        if args:
            # One mapping as the only argument is for `%(name)s`, as LogRecord has it.
            text = text % (args[0] if len(args) == 1 and isinstance(args[0], Mapping) and args[0] else args)
        return text
    finally:
        thread.depth -= 1


def _judge(pipeline: Pipeline, logger: logging.Logger, level: int, text: str, kwargs: dict[str, Any]) -> Verdict:
    """The verdict on a rendered message. Match sets are cached where only the text can change them, verdicts never."""
    known = _known
    policies = pipeline.policies
    if known.policies is not policies:
        known = _learn(policies)
    if not policies.text_only:
        return policies.evaluate(pipeline.view(logger.name, level, text, kwargs.get("extra")), call_key())
    key: Any
    try:
        # The usual case, and the reason for `shapes`: two fast passes over the text and one look-up.
        key = text.encode().translate(known.table) if level < logging.WARNING else None
    except UnicodeEncodeError:
        key = None
    if key is None or known.table is None:
        key = (logger.name, level, text)
    matched = known.matches.get(key)
    if matched is None:
        if pipeline.guards is not None and level < logging.WARNING:
            call = scope.current.get()
            if call is not None and pipeline.guards.known_frame(call, text, kwargs):
                return _ONE_MORE
        matched = _match(known, key, logger, level, text)
    if not matched:
        return KEPT
    if matched[0].drops_all:
        return policies.decide(matched)
    # Only a sample key reads the record at this point.
    view = pipeline.view(logger.name, level, text, kwargs.get("extra"))
    return policies.decide(matched, view, call_key())


def _match(known: _Known, key: Any, logger: logging.Logger, level: int, text: str) -> Any:
    """What matches a text seen for the first time."""
    number = translate.severity_number(level).value
    name = translate.severity_text(logging.getLevelName(level))
    matched = known.policies.match_text(text, number, name, logger.name) if known.policies is not None else ()
    if len(known.matches) >= _MAX_CACHED:
        known.matches.clear()
    if len(text) <= _MAX_CACHED_TEXT:
        known.matches[key] = matched
    return matched


def _learn(policies: PolicySet) -> _Known:
    """Begin anew for other policies. What old ones matched goes with the old object, whoever still works with it."""
    global _known
    known = _known = _Known(policies)
    return known
