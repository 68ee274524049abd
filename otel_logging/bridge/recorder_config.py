"""What the flight recorder is told: the policy extension `otel-logging/flight-recorder`, and the settings above it.

Read once per set-up. A wrong value is one sentence and its default; nothing in here remembers or triggers anything.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from otel_logging import trouble
from otel_logging.policy.patterns import BadPattern, PatternSet, check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otel_logging.policy.model import Policy
    from otel_logging.settings import Settings

EXTENSION: Final = "otel-logging/flight-recorder"
VERSION: Final = "1.0.0"
MODE: Final = "dropped"

EXCEPTION: Final = "exception"
CLOSED: Final = "closed_without_stop"
CANCELLED: Final = "cancelled"
PROCESS_END: Final = "process_end"
EVENTS: Final = (EXCEPTION, CLOSED, CANCELLED, PROCESS_END)
_MATCHER_KEYS: Final = ("level", "logger", "pattern")


@dataclass(frozen=True)
class RecordTrigger:
    """Records that trigger, or that do not: all conditions that are given must hold."""

    level: int = logging.ERROR
    logger: str = ""
    pattern: Callable[[str], bool] | None = None

    def matches(self, level: int, name: str, text: Callable[[], str]) -> bool:
        """Whether a record of logger `name` is meant. `text` is asked only where a pattern needs it."""
        if level < self.level:
            return False
        if self.logger and name != self.logger and not name.startswith(self.logger + "."):
            return False
        return self.pattern is None or self.pattern(text())


@dataclass(frozen=True)
class Config:
    """The extension's config. Bytes per call count content; bytes per process count memory."""

    records_per_call: int = 4000
    bytes_per_call: int = 256 * 1024
    bytes_per_process: int = 32 * 1024 * 1024
    seconds_after: float = 10.0
    replays_per_call: int = 3
    replay_bytes_per_minute: int = 8 * 1024 * 1024
    records: tuple[RecordTrigger, ...] = (RecordTrigger(),)
    ignored: tuple[RecordTrigger, ...] = ()
    events: frozenset[str] = field(default_factory=lambda: frozenset(EVENTS))

    @property
    def lowest(self) -> int:
        """The lowest level that can trigger."""
        return min((one.level for one in self.records), default=logging.CRITICAL + 1000)


_NUMBERS: Final[Mapping[str, tuple[type, float]]] = {  # name: type, least value
    "records_per_call": (int, 1),
    "bytes_per_call": (int, 256),
    "bytes_per_process": (int, 1024),
    "seconds_after": (float, 0),
    "replays_per_call": (int, 0),
    "replay_bytes_per_minute": (int, 0),
}


def read(policies: Iterable[Policy], settings: Settings) -> Config | None:
    """The config in force, from the first policy that has the extension; None where the recorder is switched off.

    Without the extension in any policy the recorder runs with its defaults. The setting OTEL_LOGGING_RECORDER wins.
    """
    if not settings.recorder.enabled:
        return None
    config = Config()
    for policy in policies:
        for extension in policy.extensions:
            if extension.type == EXTENSION and not policy.errors and policy.enabled:
                if extension.version.split(".", 1)[0] != VERSION.split(".", 1)[0] or extension.mode != MODE:
                    _wrong(policy, f"version {extension.version}, mode {extension.mode}", f"{VERSION}, mode {MODE}")
                config = parse(extension.config, f"{policy.source or 'policy'}: policy {policy.id!r}")
                break
        else:
            continue
        break
    if "recorder" in settings.given:
        budgets = settings.recorder
        config = replace(config, bytes_per_call=budgets.call_bytes, bytes_per_process=budgets.process_bytes)
    return config


def _wrong(policy: Policy, found: str, valid: str) -> None:
    trouble.report("policy", f"policy {policy.id!r}: {EXTENSION} {found} is read as {valid}")


def parse(raw: Mapping[str, Any], where: str) -> Config:
    """A config as it stands in a policy file. What is wrong in it is reported, and its default is used."""
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key in _NUMBERS:
            kind, least = _NUMBERS[key]
            if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= least:
                values[key] = kind(value)
            else:
                _report(where, f"{key}: {value!r} is not valid; a number from {least} on is")
        elif key == "triggers":
            values.update(_triggers(value, f"{where}: triggers"))
        elif key == "ignore":
            values["ignored"] = tuple(_matchers(value, f"{where}: ignore"))
        else:
            _report(where, f"unknown field {key!r}; valid: {', '.join((*_NUMBERS, 'triggers', 'ignore'))}")
    return Config(**values)


def _report(where: str, what: str) -> None:
    trouble.report("policy", f"{where}: {EXTENSION}: {what}; it is ignored")


def _triggers(raw: Any, where: str) -> dict[str, Any]:
    if not isinstance(raw, list):
        _report(where, "must be a list")
        return {}
    events = {one.get("event") for one in raw if isinstance(one, Mapping) and "event" in one}
    for event in sorted(events - set(EVENTS), key=str):
        _report(where, f"unknown event {event!r}; valid: {', '.join(EVENTS)}")
    matchers = [one for one in raw if not (isinstance(one, Mapping) and "event" in one)]
    return {"events": frozenset(events & set(EVENTS)), "records": tuple(_matchers(matchers, where))}


def _matchers(raw: Any, where: str) -> Iterable[RecordTrigger]:
    for one in raw if isinstance(raw, list) else [raw]:
        try:
            yield _matcher(one)
        except (ValueError, TypeError, AttributeError) as error:  # noqa: PERF203 (each trigger is judged by itself)
            _report(where, str(error))


def _matcher(raw: Any) -> RecordTrigger:
    if not isinstance(raw, Mapping) or not raw or set(raw) - set(_MATCHER_KEYS):
        raise ValueError(f"{raw!r} is no trigger; valid fields: event, or {', '.join(_MATCHER_KEYS)}")
    # A pattern or a logger alone means records of any level; no condition on those means ERROR.
    level: Any = raw.get("level", "NOTSET")
    number = level if isinstance(level, int) else getattr(logging, str(level).upper(), None)
    if not isinstance(number, int):
        raise ValueError(f"level {level!r} is not valid; DEBUG, INFO, WARNING, ERROR and CRITICAL are")  # noqa: TRY004
    search: Callable[[str], bool] | None = None
    if "pattern" in raw:
        try:
            check(str(raw["pattern"]))
        except BadPattern as error:
            raise ValueError(f"pattern {raw['pattern']!r} is not valid RE2: {error}") from None
        patterns = PatternSet([str(raw["pattern"])])
        search = lambda text: bool(patterns.search(text))  # noqa: E731
    return RecordTrigger(number, str(raw.get("logger", "")), search)
