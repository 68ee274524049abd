"""Datadog's log search as a source: pages by cursor, waits as the rate-limit headers say.

Needs `otel-logging[datadog]`; the client is imported when the first question is asked. Keys come from the environment.
What is asked, and what an answer means, is in `datadog_query`.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from otel_logging.search import clock
from otel_logging.search.datadog_query import lower_half, queries, record_of
from otel_logging.search.source import BackEndError, range_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from otel_logging.search.record import Record
    from otel_logging.search.source import Ask, Asked
    from otel_logging.search.spans import Span

_PAGE = 1000  # the most that Datadog gives at once
_LONGEST_WAIT = 3600.0  # seconds; a limit may be counted by the hour
_TRIES = 5
_MARGIN = 1_000  # milliseconds; Datadog keeps no finer times


@dataclass(frozen=True)
class Settings:
    """Where to look: the site, its indexes and storage tier, and which variables hold the keys."""

    site: str = "datadoghq.com"
    indexes: tuple[str, ...] = ()
    storage_tier: str | None = None
    api_key_env: str = "DD_API_KEY"
    app_key_env: str = "DD_APP_KEY"
    endpoint: str | None = None


class Datadog:
    """The logs of one organisation."""

    def __init__(self, name: str, settings: Settings, *, pause: Callable[[float], None] = time.sleep) -> None:
        self.name = name
        self._settings = settings
        self._pause = pause
        self._api: Any = None

    def records(self, ask: Ask, searched: Asked) -> Iterator[Record]:
        """The records asked for, newest first; see `Source`."""
        seen: set[str] = set()
        pages = 0

        def read(query: str) -> Iterator[Record]:
            nonlocal pages
            traces = {lower_half(trace): trace for trace in (ask.ids.traces if ask.ids else ())}
            for page in self._pages(query, ask, searched):
                pages += 1
                for event in page:
                    if event.get("id") in seen:
                        continue
                    seen.add(event.get("id") or "")
                    yield record_of(event.get("attributes") or {}, self.name, traces)

        try:
            for query in queries(ask):
                yield from ask.kept(read(query), searched)
        finally:
            if pages:  # else nothing was searched
                searched.asked.append(
                    f"{self.name}: {self._settings.site}, {range_text(ask.since, ask.until)}, "
                    f"{pages:,} page{'s' * (pages != 1)}, {len(seen):,} event{'s' * (len(seen) != 1)}"
                )

    def spans(self, ask: Ask, searched: Asked) -> Iterator[Span]:  # noqa: ARG002 (the protocol's)
        """Datadog's spans are not asked for."""
        return iter(())

    def explain(self, ask: Ask) -> list[str]:
        """The search queries."""
        where = f"{self._settings.site}, {range_text(ask.since, ask.until)}"
        return [f"POST /api/v2/logs/events/search {where}: {query}" for query in queries(ask)]

    def _pages(self, query: str, ask: Ask, searched: Asked) -> Iterator[list[dict[str, Any]]]:
        cursor: str | None = None
        while True:
            answer, headers = self._page(query, ask, cursor)
            meta = answer.get("meta") or {}
            for warning in meta.get("warnings") or ():
                searched.fail(self.name, f"{warning.get('title', 'warning')}: {warning.get('detail', '')}".strip(": "))
            if meta.get("status") == "timeout":
                searched.fail(self.name, "the search timed out at Datadog: what it had found is shown")
            yield answer.get("data") or []
            following = (meta.get("page") or {}).get("after")
            if not following or following == cursor:
                return
            cursor = following
            if headers.get("x-ratelimit-remaining") == "0":
                self._pause(_wait(headers))

    def _page(self, query: str, ask: Ask, cursor: str | None) -> tuple[dict[str, Any], Mapping[str, str]]:
        api = self._client()
        from datadog_api_client.exceptions import ApiException, OpenApiException
        from urllib3.exceptions import HTTPError

        body = self._body(query, ask, cursor)
        for attempt in range(_TRIES):
            try:
                answer, _, headers = api.list_logs(body=body)
                return answer.to_dict(), {key.lower(): value for key, value in dict(headers).items()}
            except ApiException as error:  # noqa: PERF203 (each try is a request)
                found = {key.lower(): value for key, value in (error.headers or {}).items()}
                if error.status == 429 and attempt + 1 < _TRIES:
                    self._pause(_wait(found))
                elif (error.status or 0) >= 500 and attempt + 1 < _TRIES:
                    self._pause(2.0**attempt)
                else:
                    raise BackEndError(self._reason(error)) from None
            except (OpenApiException, HTTPError, OSError) as error:
                raise BackEndError(f"{type(error).__name__}: {error}") from None
        raise AssertionError  # the last attempt returns or raises

    def _body(self, query: str, ask: Ask, cursor: str | None) -> Any:
        from datadog_api_client.v2.model.logs_list_request import LogsListRequest
        from datadog_api_client.v2.model.logs_list_request_page import LogsListRequestPage
        from datadog_api_client.v2.model.logs_query_filter import LogsQueryFilter
        from datadog_api_client.v2.model.logs_sort import LogsSort
        from datadog_api_client.v2.model.logs_storage_tier import LogsStorageTier

        filters: dict[str, Any] = {
            "query": query,
            "_from": str(max((ask.since or 0) // 1_000_000 - _MARGIN, 0)),
            "to": str((ask.until or clock.now()) // 1_000_000 + _MARGIN),
        }
        if self._settings.indexes:
            filters["indexes"] = list(self._settings.indexes)
        if self._settings.storage_tier:
            filters["storage_tier"] = LogsStorageTier(self._settings.storage_tier)
        page = LogsListRequestPage(limit=_PAGE, **({"cursor": cursor} if cursor else {}))
        return LogsListRequest(filter=LogsQueryFilter(**filters), page=page, sort=LogsSort.TIMESTAMP_DESCENDING)

    def _client(self) -> Any:
        if self._api is not None:
            return self._api
        try:
            from datadog_api_client import ApiClient, Configuration
            from datadog_api_client.v2.api.logs_api import LogsApi
        except ImportError:
            raise BackEndError("needs datadog-api-client: pip install 'otel-logging[datadog]'") from None
        keys = {}
        for name, variables in (
            ("apiKeyAuth", (self._settings.api_key_env,)),
            ("appKeyAuth", (self._settings.app_key_env, "DD_APPLICATION_KEY")),
        ):
            value = next((os.environ[variable] for variable in variables if os.environ.get(variable)), "")
            if not value:
                raise BackEndError(f"no key: set {variables[0]}")
            keys[name] = value
        made = Configuration(api_key=keys, host=self._settings.endpoint, return_http_data_only=False)
        made.server_variables["site"] = self._settings.site
        self._api = LogsApi(ApiClient(made))
        return self._api

    def _reason(self, error: Any) -> str:
        body = error.body
        errors = body.get("errors") if isinstance(body, dict) else None
        detail = "; ".join(str(item) for item in errors) if errors else str(error.reason or "")
        if error.status in {401, 403}:
            keys = f"{self._settings.api_key_env} and {self._settings.app_key_env}"
            sentence = f"permission is missing: {keys} must be of {self._settings.site} and have logs_read_data"
        elif error.status == 429:
            sentence = "Datadog's rate limit is used up; try again later, or ask for less"
        elif error.status == 400:
            sentence = "Datadog does not understand the query"
        else:
            sentence = "Datadog did not answer"
        return f"{sentence} (HTTP {error.status}: {detail})"


def _wait(headers: Mapping[str, str]) -> float:
    """Seconds until the limit is reset, as the answer says; its name and period are for people."""
    try:
        seconds = float(headers.get("x-ratelimit-reset", "") or headers.get("retry-after", "") or 5)
    except ValueError:
        seconds = 5.0
    return min(max(seconds, 1.0), _LONGEST_WAIT)
