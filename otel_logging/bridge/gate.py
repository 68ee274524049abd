"""The gate: what a policy drops is dropped before any `logging.LogRecord` exists.

One patch of `logging.Logger`, idempotent and undoable: the methods that applications call, and `callHandlers`,
through which every record passes once whatever the application does to handlers, propagation or configuration.

The replaced methods stand where the originals stood: as many frames deep, and compiled under logging's own file name,
so that `findCaller` and `stacklevel` count as before on every Python version. What they are made of is in `methods`;
the long way of a message, which they take when they do not know it at first sight, is here.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from otel_logging.bridge import familiar, fates, methods, overrides, scope, suppressed, translate
from otel_logging.bridge.known import Known
from otel_logging.bridge.overrides import enabled_without
from otel_logging.bridge.reasons import REPEAT_GUARD
from otel_logging.bridge.this_thread import MAX_DEPTH, call_key, thread
from otel_logging.bridge.values import passes
from otel_logging.policy.engine import KEPT, Verdict

if TYPE_CHECKING:
    from otel_logging.bridge.memory import CallMemory
    from otel_logging.bridge.pipeline import Pipeline
    from otel_logging.bridge.scope import CallScope
    from otel_logging.policy.engine import PolicySet
    from otel_logging.policy.group import Matched

_ONE_MORE: Final = Verdict(keep=False, reason=REPEAT_GUARD)

_originals: dict[str, Any] = {}
_replacements: dict[str, Any] = {}
_call_next: Any = logging.Logger.callHandlers  # whatever stood there when the gate was installed
_pipeline: Pipeline | None = None


_known = Known(None)


def install(pipeline: Pipeline) -> None:
    """Put the gate in front of every logger of this process. A second call only exchanges the pipeline."""
    global _pipeline, _call_next
    _pipeline = pipeline
    pipeline.on_change = _refresh
    overrides.on_change = _refresh
    _refresh()
    methods.watch_levels()
    aliased = logging.Logger.__dict__.get("fatal") is logging.Logger.__dict__.get("critical")  # up to Python 3.12
    for name in methods.NAMES:
        original = getattr(logging.Logger, name)
        # A method that another tool has replaced is left to it: its records are judged in `callHandlers`.
        if getattr(getattr(original, "__code__", None), "co_filename", None) == methods.SOURCE_FILE:
            _replace(name, methods.make(name, original, _passes, _below))
    if aliased and "critical" in _replacements:
        _replace("fatal", _replacements["critical"])
    before = logging.Logger.callHandlers
    if _replace("callHandlers", _call_handlers):
        _call_next = before
    familiar.learn_methods(_call_handlers, _call_next)


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
    _known = Known(None)
    _refresh()
    methods.unwatch_levels()
    for name, original in list(_originals.items()):
        if logging.Logger.__dict__.get(name) is _replacements[name]:
            setattr(logging.Logger, name, original)
            del _originals[name], _replacements[name]


def _refresh() -> None:
    """What the short way rests on has changed: bind it anew, or shut it while anything may let messages through."""
    pipeline = _pipeline
    in_use = None
    if pipeline is not None and not (pipeline.overrides is not None and pipeline.overrides.active):
        in_use = _known if _known.policies is pipeline.policies else _learn(pipeline.policies)
    recorder, way = (pipeline.recorder, pipeline.late) if pipeline is not None else (None, None)
    at_once = way.familiar.bind(in_use, _search, _guarded) if way is not None else None
    methods.bind(in_use, recorder, way.message if way is not None else None, at_once)


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
    except Exception:
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
        verdict = _judge(pipeline, logger, level, msg, args, text, kwargs)
        if verdict.keep:
            if verdict.policy is not None:  # the guards are for what no rule names
                thread.suppressed = suppressed.take(scope.current.get(), f"rate_limited:{verdict.policy}")
                return True
            return pipeline.guards is None or _guarded(pipeline, logger, level, text, (), kwargs)
        return _dropped(pipeline, logger, level, text, kwargs, verdict.reason)
    except BaseException as error:
        if passes(error):
            raise
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


def _search(pipeline: Pipeline, logger: logging.Logger, level: int, text: str, kwargs: dict[str, Any]) -> int:
    """What policies have to say about a message below WARNING, for `familiar`, where these see its text alone.

    `KEPT`: nothing. `DONE`: it was one frame more of those that the repeat guard knows. Called one frame below the
    method that was called to log it.
    """
    key = _known.key(logger.name, level, text)
    matched = _known.matches.get(key)
    if matched is None:
        call = scope.current.get()
        if call is not None and pipeline.guards is not None and pipeline.guards.known_frame(call, text, kwargs):
            passed = _dropped(pipeline, logger, level, text, kwargs, REPEAT_GUARD)
            return familiar.PASSED if passed else familiar.DONE
        matched = _known.match(key, logger.name, level, text)
    return familiar.UNKNOWN if matched else familiar.KEPT


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
        if memory.page is None:
            _arm(pipeline, memory)
    else:
        suppressed.count(None, reason)
    pipeline.books.refused(reason)
    return False


def _arm(pipeline: Pipeline, memory: CallMemory) -> None:
    """Let further lines of this call go the short way, if nothing of it is let through at the moment."""
    with memory.lock:
        if not memory.open_until and (pipeline.recorder is None or memory.ring is not None):
            memory.page = fates.page_of(memory)


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
        if memory.page is None:
            _arm(pipeline, memory)
    except BaseException as error:
        if passes(error):
            raise
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


def _judge(
    pipeline: Pipeline,
    logger: logging.Logger,
    level: int,
    msg: Any,
    args: tuple[Any, ...],
    text: str,
    kwargs: dict[str, Any],
) -> Verdict:
    """The verdict on a rendered message. Match sets are cached where only the text can change them, verdicts never."""
    policies = pipeline.policies
    known = _known if _known.policies is policies else _learn(policies)
    if not policies.text_only:
        return policies.evaluate(pipeline.view(logger.name, level, text, kwargs.get("extra")), call_key())
    key = known.key(logger.name, level, text)
    matched = known.matches.get(key)
    if matched is None:
        if pipeline.guards is not None and level < logging.WARNING:
            call = scope.current.get()
            if call is not None and pipeline.guards.known_frame(call, text, kwargs):
                return _ONE_MORE
        matched = known.match(key, logger.name, level, text)
    if not matched:
        return KEPT
    first = matched[0]
    # Only a sample key reads the record at this point.
    view = None if first.drops_all else pipeline.view(logger.name, level, text, kwargs.get("extra"))
    verdict = policies.decide(matched, view, call_key() if view is not None else None)
    if not verdict.keep and level == logging.INFO and not kwargs and type(msg) is str:
        _shorten(pipeline, known, logger, msg, args, text, matched)
    return verdict


def _shorten(
    pipeline: Pipeline,
    known: Known,
    logger: logging.Logger,
    msg: str,
    args: tuple[Any, ...],
    text: str,
    matched: Matched,
) -> None:
    """A message was dropped, and the next one of its kind on this logger need not come this way."""
    if pipeline.overrides is not None and pipeline.overrides.active:
        return
    fate = known.learn(msg, args, text, matched, sys._getframe(4))  # noqa: SLF001 (documented; who called the method)
    methods.arm(logger, (msg, fate) if fate is not None else None)
    fate = known.fate(matched)
    if fate is not None:
        call = scope.current.get()
        page = fates.page_of(suppressed.outside if call is None else call.memory)
        if fate.rated:
            page[fate.index].until = pipeline.policies.closed_until(matched, call_key())


def _learn(policies: PolicySet) -> Known:
    """Begin anew for other policies. What old ones matched goes with the old object, whoever still works with it."""
    global _known
    known = _known = Known(policies)
    policies.before_stats = fates.settle_all
    fates.credit = known.credit
    return known
