"""CloudWatch Logs as a source: FilterLogEvents for short ranges, Logs Insights for long ones.

Needs `otel-logging[cloudwatch]`; boto3 is imported when the first question is asked. Credentials come from where the
AWS SDK looks for them, never from here. The languages of the questions are in `cloudwatch_query`.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from otel_logging.search import clock, events
from otel_logging.search.cloudwatch_query import insights, patterns
from otel_logging.search.source import BackEndError, range_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_logging.search.record import Record
    from otel_logging.search.source import Ask, Asked
    from otel_logging.search.spans import Span

_SHORT = 3 * 3600 * clock.NANOS  # FilterLogEvents costs nothing by the gigabyte, but reads a range page by page
_FEW_GROUPS = 10
_GROUPS_IN_QUERY = 50
_ROWS = 10_000  # of one Insights query; what is older is asked for again
_MARGIN = 60 * clock.NANOS  # an event's time may be a little off the record's
_FROM_TAIL = 1_704_067_200 * clock.NANOS  # 2024-01-01: the newest first only where the range starts later
_MILLI = 1_000_000
_PATIENCE = 900.0  # seconds an Insights query may take
_POLLS = (0.1, 0.2, 0.4, 0.8, 1.0)


@dataclass(frozen=True)
class Settings:
    """Where to look: log groups (`/voice/*` for all that begin so), region, AWS profile, endpoint, and how to ask."""

    log_groups: tuple[str, ...]
    region: str | None = None
    profile: str | None = None
    endpoint: str | None = None
    method: str = "auto"  # or `filter`, or `insights`


class CloudWatch:
    """The log groups of one account and region."""

    def __init__(self, name: str, settings: Settings, *, pause: Callable[[float], None] = time.sleep) -> None:
        self.name = name
        self._settings = settings
        self._pause = pause
        self._made: Any = None

    def records(self, ask: Ask, searched: Asked) -> Iterator[Record]:
        """The records asked for; see `Source`."""
        groups = self._groups()
        method = self._method(ask, len(groups))
        seen: set[str] = set()
        count = _Count()
        try:
            if method == "filter":
                for group in groups:
                    yield from self._filtered(group, ask, searched, seen, count)
            else:
                for start in range(0, len(groups), _GROUPS_IN_QUERY):
                    yield from self._queried(groups[start : start + _GROUPS_IN_QUERY], ask, searched, seen, count)
        finally:
            if count.pages:  # else nothing was searched
                searched.asked.append(
                    f"{self.name}: {len(groups):,} log group{'s' * (len(groups) != 1)} by "
                    f"{'FilterLogEvents' if method == 'filter' else 'Logs Insights'}, "
                    f"{range_text(ask.since, ask.until)}, {count.pages:,} page{'s' * (count.pages != 1)}, "
                    f"{count.events:,} event{'s' * (count.events != 1)}"
                )

    def spans(self, ask: Ask, searched: Asked) -> Iterator[Span]:  # noqa: ARG002 (the protocol's)
        """CloudWatch Logs has none."""
        return iter(())

    def explain(self, ask: Ask) -> list[str]:
        """The filter patterns or queries, and over which groups."""
        groups = self._settings.log_groups
        method = self._method(ask, len(groups))
        where = f"{', '.join(groups)}, {range_text(ask.since, ask.until)}"
        if method == "filter":
            return [f"FilterLogEvents {where}: {pattern or '(everything)'}" for pattern in patterns(ask)]
        return [f"StartQuery {where}:\n{query.rstrip()}" for query in insights(ask, _ROWS)]

    def _method(self, ask: Ask, groups: int) -> str:
        if self._settings.method != "auto":
            return self._settings.method
        length = (ask.until or clock.now()) - (ask.since or 0)
        return "filter" if length <= _SHORT and groups <= _FEW_GROUPS else "insights"

    def _client(self) -> Any:
        if self._made is not None:
            return self._made
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError
        except ImportError:
            raise BackEndError("needs boto3: pip install 'otel-logging[cloudwatch]'") from None
        config = Config(retries={"mode": "adaptive", "max_attempts": 8}, user_agent_extra="otel-logging")
        try:
            # The Python SDK reads AWS_DEFAULT_REGION only, all others AWS_REGION.
            region = self._settings.region or os.environ.get("AWS_REGION") or None
            aws = boto3.Session(profile_name=self._settings.profile, region_name=region)
            self._made = aws.client("logs", endpoint_url=self._settings.endpoint, config=config)
        except (BotoCoreError, ValueError) as error:
            raise BackEndError(_reason(error)) from None
        return self._made

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        client = self._client()
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(client, operation)(**arguments)
        except (BotoCoreError, ClientError) as error:
            raise BackEndError(_reason(error)) from None
        return answer

    def _groups(self) -> list[str]:
        found: dict[str, None] = {}
        for name in self._settings.log_groups:
            if not name.endswith("*"):
                found[name] = None
                continue
            token: dict[str, str] = {}
            prefix = {"logGroupNamePrefix": name[:-1]} if name[:-1] else {}
            while True:
                page = self._call("describe_log_groups", **prefix, **token)
                found.update(dict.fromkeys(group["logGroupName"] for group in page.get("logGroups", ())))
                if not page.get("nextToken"):
                    break
                token = {"nextToken": page["nextToken"]}
        if not found:
            raise BackEndError(f"no log group fits {', '.join(self._settings.log_groups) or 'an empty list'}")
        return list(found)

    def _filtered(self, group: str, ask: Ask, searched: Asked, seen: set[str], count: _Count) -> Iterator[Record]:
        for pattern in patterns(ask):
            pages = self._pages(group, pattern, ask)
            first = next(pages, [])
            times = [event["timestamp"] for event in first]
            backwards = len(times) > 1 and times == sorted(times, reverse=True)
            yield from ask.kept(
                self._taken(group, first, pages, seen, count), searched, newest_first=backwards and times[0] > times[-1]
            )

    @staticmethod
    def _taken(
        group: str, first: list[Any], rest: Iterator[list[Any]], seen: set[str], count: _Count
    ) -> Iterator[Record]:
        page: list[Any] | None = first
        while page is not None:
            count.pages += 1
            for event in page:
                count.events += 1
                if event["eventId"] in seen:
                    continue
                seen.add(event["eventId"])
                yield events.record_of(
                    event["message"],
                    time=event["timestamp"] * _MILLI,
                    observed=event.get("ingestionTime", 0) * _MILLI,
                    source=f"{group}/{event['logStreamName']}",
                )
            page = next(rest, None)

    def _pages(self, group: str, pattern: str, ask: Ask) -> Iterator[list[Any]]:
        start, end = _milliseconds(ask)
        arguments: dict[str, Any] = {"logGroupName": group, "startTime": start, "endTime": end}
        if pattern:
            arguments["filterPattern"] = pattern
        if ask.newest and start * _MILLI >= _FROM_TAIL:
            arguments["startFromHead"] = False
        while True:
            answer = self._call("filter_log_events", **arguments)
            yield answer.get("events", [])
            # A page may be empty although more follow; only the missing token says that this was all.
            token = answer.get("nextToken")
            if not token or token == arguments.get("nextToken"):
                return
            arguments["nextToken"] = token

    def _queried(self, groups: list[str], ask: Ask, searched: Asked, seen: set[str], count: _Count) -> Iterator[Record]:
        for query in insights(ask, _ROWS):
            yield from ask.kept(self._rows(groups, query, ask, seen, count, searched), searched)

    def _rows(
        self, groups: list[str], query: str, ask: Ask, seen: set[str], count: _Count, searched: Asked
    ) -> Iterator[Record]:
        start, end = _milliseconds(ask)
        while True:
            number = oldest = 0
            fresh = False
            for row in self._answers(groups, query, start // 1000, -(-end // 1000), count, searched):
                number += 1
                at = (clock.parse_stamp(f"{row.get('@timestamp', '')}Z") or 0) or _stamp(row.get("@timestamp"))
                oldest = min(oldest or at, at)
                if row["@ptr"] in seen:
                    continue
                seen.add(row["@ptr"])
                fresh = True
                yield events.record_of(
                    row.get("@message", ""), time=at, source=f"{row.get('@log', '')}/{row.get('@logStream', '')}"
                )
            if number < _ROWS:
                return
            if not fresh:  # more events within one second than a query returns
                searched.more = True
                return
            end = oldest // _MILLI + 1

    def _answers(
        self, groups: list[str], query: str, start: int, end: int, count: _Count, searched: Asked
    ) -> Iterator[dict[str, str]]:
        started = self._started(logGroupNames=groups, startTime=start, endTime=end, queryString=query)
        deadline = time.monotonic() + _PATIENCE
        polls = iter(_POLLS)
        token: dict[str, str] = {}
        while True:
            answer = self._call("get_query_results", queryId=started, **token)
            status = answer.get("status")
            if status in {"Scheduled", "Running", "Unknown"}:
                if time.monotonic() > deadline:
                    raise BackEndError(f"the Logs Insights query {started} takes over {_PATIENCE / 60:.0f} minutes")
                self._pause(next(polls, _POLLS[-1]))
                continue
            count.pages += 1
            rows = answer.get("results", [])
            count.events += len(rows)
            yield from ({cell["field"]: cell.get("value", "") for cell in row} for row in rows)
            if status != "Complete":
                searched.fail(self.name, f"the Logs Insights query ended as {status}: what it had found is shown")
                return
            if not answer.get("nextToken") or {"nextToken": answer["nextToken"]} == token:
                return
            token = {"nextToken": answer["nextToken"]}

    def _started(self, **arguments: Any) -> str:
        # At most 100 queries run at once in an account, those of dashboards included.
        for wait in (1.0, 2.0, 4.0, 8.0, None):
            try:
                return str(self._call("start_query", **arguments)["queryId"])
            except BackEndError as error:  # noqa: PERF203 (five times at most)
                if wait is None or "LimitExceeded" not in str(error):
                    raise
                self._pause(wait)
        raise AssertionError  # the last attempt returns or raises


@dataclass(slots=True)
class _Count:
    pages: int = 0
    events: int = 0


def _milliseconds(ask: Ask) -> tuple[int, int]:
    start = max((ask.since or 0) - _MARGIN, 0) // _MILLI
    return start, (ask.until or clock.now()) // _MILLI + _MARGIN // _MILLI


def _stamp(text: str | None) -> int:
    """An event's time in milliseconds, as some emulators give it."""
    return int(text) * _MILLI if text and text.isdigit() else 0


_SENTENCES = {
    "NoCredentialsError": "no AWS credentials were found; set AWS_PROFILE or AWS_ACCESS_KEY_ID, or log in",
    "NoRegionError": "no region; set AWS_REGION, or `region` in the profile",
    "AccessDeniedException": "permission is missing",
    "UnrecognizedClientException": "the AWS credentials are not valid",
    "ExpiredTokenException": "the AWS credentials have expired; log in again",
    "ThrottlingException": "CloudWatch throttles this account; try again later, or ask for less",
    "LimitExceededException": "too many Logs Insights queries run in this account (LimitExceeded); try again later",
    "ResourceNotFoundException": "a log group does not exist in this account and region",
    "ServiceUnavailableException": "CloudWatch is not available at the moment",
}


def _reason(error: Exception) -> str:
    """What went wrong, with a word on what to do where one is known."""
    response = getattr(error, "response", None)
    detail = response.get("Error", {}) if isinstance(response, dict) else {}
    code = str(detail.get("Code") or type(error).__name__)
    text = str(detail.get("Message") or error)
    sentence = _SENTENCES.get(code)
    return f"{sentence} ({code}: {text})" if sentence else f"{code}: {text}"
