"""What is known of messages: which policies match them, and which are dropped at first sight.

Everything in here is a table that is looked up instead of working something out again, for one set of policies. The
verdict is always the one that the rendered message would get: a message is dropped at first sight only if nothing that
may differ from the last one of its kind has a part in what matches it (see `policy.blind`). Tables are bounded.
"""

from __future__ import annotations

import itertools
import logging
import math
import re
from typing import TYPE_CHECKING, Any, Final

from otel_logging.bridge import fates, translate
from otel_logging.bridge.place import Place
from otel_logging.policy import shapes
from otel_logging.policy.blind import ALIKE, Blindness
from otel_logging.policy.patterns import BadPattern

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from otel_logging.bridge.fates import Fate, Tally
    from otel_logging.policy.engine import PolicySet
    from otel_logging.policy.group import Matched

LONGEST: Final = 512  # characters; longer messages are rare, and not worth their memory
_MAX_MATCHES: Final = 16_384  # emptied when full, as what matters comes back at once
_MAX_SHAPES: Final = 16_384
_MAX_TEMPLATES: Final = 4_096
_MAX_DIGITS: Final = 9  # numbers with more digits are rendered and looked at
_MAX_COMBINED: Final = 128  # combinations of lengths of a template's numbers that are tried at once
_INFO: Final = translate.severity_number(logging.INFO).value
_CALLERS: Final = 4  # frames in which a constant text is looked for
_MAX_TRIES: Final = 32  # at learning for which numbers a template needs no rendering
_PLAIN: Final = frozenset({int, str, float, bool})  # rendering them runs no code of the application's
_CONVERSION: Final = re.compile(r"%(?:%|[-+ #0]*\d*(?:\.\d+)?([a-zA-Z]))")


class Line(Place):
    """A constant text, a template with one number, or a shape, in one call: what counts it, how far the number may go.

    `text` is that very object: as long as it is the same one, nobody need ask whether it is a plain text. `decimal`
    says that the template prints whatever fits as a whole number (`%d`), `rated` that the tally's time has to be
    looked at.
    """

    __slots__ = ("below", "decimal", "rated", "tally", "text")

    def __init__(self, text: str, tally: Tally, *, below: int = 0, decimal: bool = False, rated: bool = False) -> None:
        super().__init__()
        self.text = text
        self.tally = tally
        self.below = below
        self.decimal = decimal
        self.rated = rated


class Template:
    """What is known of one `%` template with its arguments.

    Attributes:
        single: whether it takes one whole number, and needs no rendering for numbers from 0 up to `below`.
        decimal: whether it prints whatever it takes as whole numbers.
        fate: what becomes of the message then.
        limits: below which each number must be for that, where there are several; empty where it is not known.
    """

    __slots__ = ("_fits", "_known", "_template", "_tries", "below", "decimal", "fate", "limits", "single")

    def __init__(self, template: str, known: Known) -> None:
        self._template = template
        self._known = known
        self.single = False
        self.decimal = all(kind in "diu" for kind in _CONVERSION.findall(template) if kind)
        self.below = 0
        self.fate: Fate | None = None
        self.limits: tuple[int, ...] = ()
        self._fits: Callable[..., bool] | None = None
        self._tries = _MAX_TRIES

    def learn(self, limits: tuple[int, ...], fate: Fate) -> None:
        """Numbers below these limits need no rendering: the message has this fate."""
        self.fate = fate
        self.limits = limits
        self.below = limits[0]
        self.single = len(limits) == 1
        self._fits = _fits(limits)

    def judge(self, args: tuple[Any, ...]) -> tuple[Fate | None, str | None]:
        """The fate of the message with these arguments, if it is known, and the message where it had to be rendered.

        Raises:
            Exception: the arguments do not fit the template.
        """
        fits = self._fits
        if fits is not None and fits(*args):
            return self.fate, None
        for arg in args:
            if type(arg) not in _PLAIN:
                return None, None
        text = self._template % args
        fate = self._known.shapes.get(text.encode().translate(ALIKE))
        if fate is not None and self._tries:
            self._tries -= 1
            self._known.learn_template(self._template, args, fate)
        return fate, text


def _fits(limits: tuple[int, ...]) -> Callable[..., bool]:
    """Tells whether its arguments are whole numbers from 0 up to these limits. Made to measure: a loop takes thrice."""
    names = [f"n{place}" for place in range(len(limits))]
    tests = [f"type({name}) is int and 0 <= {name} < {limit}" for name, limit in zip(names, limits, strict=True)]
    made: Callable[..., bool] = eval(f"lambda {', '.join(names)}: {' and '.join(tests)}")  # noqa: S307 (numbers only)
    return made


class Known:
    """The tables for one set of policies; without one, they stay empty.

    Attributes:
        matches: by shape of a text, or by logger, level and text, the policies that match.
        templates: what is known of `%` templates.
        shapes: the fate of all texts that differ from one another in their digits only; None where these matter, or
            where it is not the same each time.
    """

    __slots__ = ("blind", "matches", "policies", "shapes", "table", "templates")

    def __init__(self, policies: PolicySet | None) -> None:
        self.policies = policies
        self.table: bytes | None = None
        self.blind: Blindness | None = None
        self.matches: dict[Any, Matched] = {}
        self.templates: dict[str, Template] = {}
        self.shapes: dict[bytes, Fate | None] = {}
        if policies is not None and policies.text_only:
            # What keeps all, such as redactions, has no part in a verdict.
            deciding = [policy for policy in policies.policies if policy.keep.kind != "all"]
            self.table = shapes.table_of(deciding)
            try:
                self.blind = Blindness(deciding)
            except (shapes.Unreadable, BadPattern):
                pass  # then every text is looked at

    def key(self, name: str, level: int, text: str) -> Any:
        """What the policies that match a text are known by."""
        if self.table is not None and level < logging.WARNING:
            try:
                # Two fast passes over the text and one look-up.
                return text.encode().translate(self.table)
            except UnicodeEncodeError:
                pass
        return name, level, text

    def match(self, key: Any, name: str, level: int, text: str) -> Matched:
        """What matches a text seen for the first time."""
        if self.policies is None:
            return ()
        if self.table is not None and level < logging.WARNING:
            matched = self.policies.match_text(text, _INFO)  # nothing but the body is read
            if len(text) <= LONGEST:
                _put(self.matches, key, matched, _MAX_MATCHES)
            return matched
        number = translate.severity_number(level).value
        level_name = translate.severity_text(logging.getLevelName(level))
        matched = self.policies.match_text(text, number, level_name, name)
        if len(text) <= LONGEST:
            _put(self.matches, key, matched, _MAX_MATCHES)
        return matched

    # -- at first sight ------------------------------------------------------------------------------------------------

    def learn(self, msg: str, args: tuple[Any, ...], text: str, matched: Matched, caller: FrameType) -> Fate | None:
        """A message below WARNING was dropped by what matched it: the next one of its kind may go the short way.

        Returns the fate of this very text, where it is a constant of the application's.
        """
        fate = self.fate(matched)
        if self.blind is None or len(text) > LONGEST or fate is None:
            return None
        try:
            key = text.encode().translate(ALIKE)
        except UnicodeEncodeError:
            return None
        first = key not in self.shapes
        if first:
            _put(self.shapes, key, fate if self.blind.same_for_all_digits(text) else None, _MAX_SHAPES)
        if args:
            if self.shapes.get(key) is not None:
                self.learn_template(msg, args, fate)
            return None
        # Asked once for each kind of text: those whose digits matter come this way again and again.
        return fate if first and _is_constant(msg, caller) else None

    def learn_template(self, template: str, args: tuple[Any, ...], fate: Fate) -> None:
        """A message of this template had this fate: see whether it has it for all numbers like these."""
        made = self.templates.get(template)
        if made is None:
            made = Template(template, self)
            _put(self.templates, template, made, _MAX_TEMPLATES)
        if not _only_numbers(template, args) or made.fate not in {None, fate}:
            return
        digits = [len(str(number)) for number in args]
        if made.limits:
            digits = [max(now, len(str(limit)) - 1) for now, limit in zip(digits, made.limits, strict=True)]
        if self._holds_for(template, digits, fate):
            made.learn(tuple(10**most for most in digits), fate)

    def _holds_for(self, template: str, digits: list[int], fate: Fate) -> bool:
        """Whether the message has this fate for all numbers of up to so many digits in each place."""
        if max(digits) > _MAX_DIGITS or math.prod(digits) > _MAX_COMBINED:
            return False
        for lengths in itertools.product(*(range(1, most + 1) for most in digits)):
            text = template % tuple(int("1" * length) for length in lengths)
            if len(text) > LONGEST:
                return False
            key = text.encode().translate(ALIKE)
            if key not in self.shapes:
                if self.policies is None or self.blind is None:
                    return False
                settled = self.blind.same_for_all_digits(text)
                found = self.fate(self.policies.match_text(text, _INFO)) if settled else None
                _put(self.shapes, key, found, _MAX_SHAPES)
            if self.shapes.get(key) is not fate:
                return False
        return True

    @staticmethod
    def fate(matched: Matched) -> Fate | None:
        """The fate of all messages that these policies match; None where it differs from one to the next."""
        if not matched:
            return None
        first = matched[0]
        rated = first.limit is not None and first.sample_key is None and len(matched) == 1
        if not first.drops_all and not rated:
            return None
        hits = tuple(one.id for one in matched if one.drops_all) or (first.id,)
        missed = tuple(one.id for one in matched if one.id not in hits)
        return fates.fate_of(first.drop_verdict.reason, hits, missed, rated=rated)

    def credit(self, fate: Fate, n: int) -> None:
        """`n` messages met this fate: hits and misses of the policies."""
        if self.policies is not None:
            self.policies.credit(fate.hits, fate.missed, n)


def _is_constant(text: str, caller: FrameType) -> bool:
    """Whether a text stands in the code: of the caller, of those who called it (a wrapper), or of their modules."""
    frame: FrameType | None = caller
    for _ in range(_CALLERS):
        if frame is None:
            return False
        if any(one is text for one in frame.f_code.co_consts) or any(
            one is text for one in list(frame.f_globals.values())
        ):
            return True
        frame = frame.f_back
    return False


def _only_numbers(template: str, args: tuple[Any, ...]) -> bool:
    """Whether all arguments are whole numbers, not negative, that are printed in decimals."""
    kinds = [kind for kind in _CONVERSION.findall(template) if kind]
    return (
        len(kinds) == len(args)
        and all(kind in "dius" for kind in kinds)
        and all(type(arg) is int and arg >= 0 for arg in args)
    )


def _put(table: dict[Any, Any], key: Any, value: Any, most: int) -> None:
    if len(table) >= most:
        table.clear()
    table[key] = value
