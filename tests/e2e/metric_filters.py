"""CloudWatch's filter patterns, as far as our templates use them. moto takes any pattern and filters nothing.

`{ $.a.b = "x*" && $.n >= 17 }` looks at the event as JSON: a name has no dot in it, `*` stands for anything, a field
that is not there matches nothing. `"term"` looks for the term anywhere in the text.
"""

from __future__ import annotations

import json
import re

_CONDITION = re.compile(r'\$((?:\.[A-Za-z0-9_-]+)+) (=|!=|>=|>) (?:"([^"]*)"|(-?\d+(?:\.\d+)?))')


def matches(pattern: str, message: str) -> bool:
    """Whether CloudWatch would count the event.

    Raises:
        ValueError: for a pattern that is not of the two forms.
    """
    if re.fullmatch(r'"[^"]+"', pattern):
        return pattern[1:-1] in message
    if not (pattern.startswith("{ ") and pattern.endswith(" }")):
        raise ValueError(pattern)
    event = json.loads(message)
    return all(_holds(condition, event) for condition in pattern[2:-2].split(" && "))


def value_of(selector: str, message: str) -> object:
    """What `MetricValue: $.a.b` takes from an event, or a plain number."""
    return _look_up(selector[1:], json.loads(message)) if selector.startswith("$") else float(selector)


def _look_up(path: str, event: object) -> object:
    for name in path.split(".")[1:]:
        event = event.get(name) if isinstance(event, dict) else None
    return event


def _holds(condition: str, event: object) -> bool:
    found = _CONDITION.fullmatch(condition)
    if not found:
        raise ValueError(condition)
    path, operator, text, number = found.groups()
    value = _look_up(path, event)
    if number is not None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        return {
            "=": value == float(number),
            "!=": value != float(number),
            ">=": value >= float(number),
            ">": value > float(number),
        }[operator]
    if not isinstance(value, str):
        return False
    same = re.fullmatch(".*".join(map(re.escape, text.split("*"))), value, re.DOTALL) is not None
    return same if operator == "=" else not same
