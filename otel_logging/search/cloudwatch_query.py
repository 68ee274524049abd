"""What is asked of CloudWatch Logs, in its two languages: filter patterns and Logs Insights queries.

Both are made of parts that cannot be misread: ids of letters, digits and `._:@-`, and runs of plain letters. A record
has one of four shapes in CloudWatch (see `events`), so each condition names its field in all of them. Calling the
service does not belong here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from otel_logging.search.record import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_logging.search.source import Ask, Ids

CALL_FIELDS = ("attributes.call_sid", "call_sid")
TRACE_FIELDS = ("trace_id", "traceId")
_NUMBER_FIELDS = ("severity_number", "severityNumber")
_NUMBERS = dict(zip(LEVELS, (0, 9, 13, 17, 21), strict=True))
_LONG = 16  # an id of so many characters is found in an event's text without finding much else
_IDS_IN_PATTERN = 12  # a filter pattern has at most 1,024 characters
_FIELDS_IN_PATTERN = 6
_IDS_IN_QUERY = 40  # an Insights query at most 10,000
_PLAIN = re.compile(r"[a-z0-9_]{2,}")
_NUMBER = re.compile(r"[-+.0-9eE]+")
_ASCII_RUN = re.compile(r"[a-z0-9_ ]{2,}")


def patterns(ask: Ask) -> Iterator[str]:
    """Filter patterns that together let through what is asked for; an empty one lets all through.

    A pattern is either about fields of JSON or about the text as a whole, and cannot be both. The strongest one is
    taken, the rest is left to the check of what comes back.
    """
    if ask.ids is not None:
        yield from _id_patterns(ask.ids)
    elif run := longest(_PLAIN, ask.run):
        # Letters in both cases: filter patterns know no flags.
        yield "%" + "".join(f"[{char.upper()}{char}]" if char.isalpha() else char for char in run[:100]) + "%"
    elif _from(ask.level):
        number = _from(ask.level)
        present = " || ".join(f"($.{name} >= {number})" for name in _NUMBER_FIELDS)
        # A console line has no number, only a name.
        absent = " && ".join(f"($.{name} NOT EXISTS)" for name in _NUMBER_FIELDS)
        yield f"{{ {present} || ({absent}) }}"
    else:
        yield ""


def _id_patterns(ids: Ids) -> Iterator[str]:
    long = dict.fromkeys(text for text in (*ids.traces, *ids.calls) if len(text) >= _LONG)
    # A Twilio CallSid contains its trace id, which finds both.
    terms = [text for text in long if not any(other != text and other in text for other in long)]
    for few in chunks(terms, _IDS_IN_PATTERN):
        yield f'"{few[0]}"' if len(few) == 1 else " ".join(f'?"{text}"' for text in few)
    calls = [text for text in ids.calls if len(text) < _LONG]
    fields = [f'($.{name} = "{text}")' for text in calls for name in CALL_FIELDS]
    fields += [f'($.{name} = "{text}*")' for text in ids.call_starts for name in CALL_FIELDS]
    fields += [f'($.{name} = "{text}*")' for text in ids.trace_starts for name in TRACE_FIELDS]
    for few in chunks(fields, _FIELDS_IN_PATTERN):
        yield f"{{ {' || '.join(few)} }}"


def insights(ask: Ask, limit: int) -> Iterator[str]:
    """Logs Insights queries that together let through what is asked for, the newest first."""
    runs = [ask.run, *(ask.services if len(ask.services) == 1 else ()), *(value for _, value in ask.attrs)]
    common = [
        f"filter @message like /(?i){run}/" for text in runs if (run := longest(_ASCII_RUN, _unfolded(text)).strip())
    ]
    if number := _from(ask.level):
        present = " or ".join(f"{name} >= {number}" for name in _NUMBER_FIELDS)
        absent = " and ".join(f"not ispresent({name})" for name in _NUMBER_FIELDS)
        common.append(f"filter {present} or ({absent})")
    for condition in _id_conditions(ask.ids) if ask.ids is not None else [""]:
        wanted = [f"filter {condition}"] if condition else []
        parts = ["fields @timestamp, @message, @logStream, @log", *wanted, *common]
        yield "\n| ".join([*parts, "sort @timestamp desc", f"limit {limit} "])


def _id_conditions(ids: Ids) -> Iterator[str]:
    for few in chunks([*ids.calls, *ids.traces], _IDS_IN_QUERY):
        listed = ", ".join(f'"{text}"' for text in few)
        anywhere = " or ".join(f'body like "{text}"' for text in few if len(text) >= _LONG)
        fields = " or ".join(f"{name} in [{listed}]" for name in (*CALL_FIELDS, *TRACE_FIELDS))
        yield f"{fields} or {anywhere}" if anywhere else fields
    starts = [f"{name} like /^{re.escape(text)}/" for text in ids.call_starts for name in CALL_FIELDS]
    starts += [f"{name} like /^{re.escape(text)}/" for text in ids.trace_starts for name in TRACE_FIELDS]
    if starts:
        yield " or ".join(starts)


def _from(level: str) -> int:
    """The least severity number of a level; 0 where everything fits, or a record without any level would."""
    number = _NUMBERS.get(level, 0)
    return number if number > _NUMBERS["INFO"] else 0


def _unfolded(text: str) -> str:
    """The text in lower case, where it is sure to stand in JSON as it is; numbers may be spelled in several ways."""
    return "" if _NUMBER.fullmatch(text) else text.lower()


def longest(pattern: re.Pattern[str], text: str) -> str:
    """The longest piece of the text that the pattern matches, or nothing."""
    return max(pattern.findall(text), key=len, default="")


def chunks(items: list[str], size: int) -> Iterator[list[str]]:
    """The items in lists of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
