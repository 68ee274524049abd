"""What a running Collector tells of itself: its health check, its internal metrics, the files that it writes.

All three are optional in a Collector, and none is needed for records to arrive. Where nobody named them, they are
looked for at the endpoint's own host, and only if that is no stranger's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_logging.doctor.finding import FAILED, OK, SKIPPED, WARNING, Finding

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

HEALTH_PORT: Final = 13133
METRICS_PORT: Final = 8888
_SECONDS: Final = 3.0
_TAIL_BYTES: Final = 4 * 1024 * 1024  # of each file: what was written just now is at its end
_METRIC: Final = re.compile(r"^otelcol_(\w+?)(?:__\w+?)?(?:_total)?(?:\{([^\n]*)\})? (\S+)$", re.MULTILINE)
_EXPORTER: Final = re.compile(r'(?:^|,)exporter="([^"]*)"')
_WANTED: Final = {
    "receiver_accepted_log_records": "accepted",
    "exporter_sent_log_records": "sent",
    "exporter_send_failed_log_records": "failed",
    "exporter_enqueue_failed_log_records": "refused",
    "exporter_queue_size": "queue",
}


class Page(NamedTuple):
    """What a GET brought."""

    status: int
    text: str
    date: str


def get(url: str) -> Page | None:
    """A page of the Collector; None where nothing answers. No proxy, no redirects, no credentials."""
    import requests

    from otel_logging.export.http_session import Session

    session = Session()
    session.trust_env = False
    try:
        answer = session.get(url, timeout=_SECONDS, allow_redirects=False)
        return Page(answer.status_code, answer.text[: 4 * 1024 * 1024], answer.headers.get("Date", ""))
    except (requests.RequestException, ValueError, OSError):
        return None
    finally:
        session.close()


def health_finding(url: str | None, host: str, *, own: bool) -> tuple[Finding, Page | None]:
    """What the health check says.

    Args:
        url: where it is; None to try the usual port of `host`.
        host: the endpoint's.
        own: whether `host` is ours to be asked on other ports.
    """
    if url is None and not own:
        says = f"{host} is not on a private network, so its health port is not tried"
        return Finding("health", SKIPPED, says, "name it with --health URL"), None
    at = url or f"http://{host if ':' not in host else f'[{host}]'}:{HEALTH_PORT}/"
    page = get(at)
    if page is None:
        cure = "add the health_check extension, with an `endpoint` that can be reached from here; or name it: --health"
        verdict = FAILED if url is not None else WARNING
        return Finding("health", verdict, f"no health check answers at {at}", cure), None
    if page.status == 200:
        return Finding("health", OK, f"{at} says that the Collector is ready"), page
    says = f"{at} answers {page.status}: the Collector is starting, stopping, or not well"
    return Finding("health", FAILED, says, "see the Collector's own log"), page


def figures(url: str) -> dict[tuple[str, str], float] | None:
    """The internal metrics that tell of log records, by what and exporter; None where there are none to be read."""
    page = get(url)
    if page is None or page.status != 200 or "otelcol_" not in page.text:
        return None
    found: dict[tuple[str, str], float] = {}
    for name, labels, value in _METRIC.findall(page.text):
        what = _WANTED.get(name)
        if what is not None:
            if what == "queue" and 'data_type="logs"' not in labels:
                continue
            exporter = _EXPORTER.search(labels)
            key = what, exporter[1] if exporter else ""
            try:
                found[key] = found.get(key, 0.0) + float(value)
            except ValueError:
                continue
    return found


def written(text: str, places: Iterable[Path]) -> Path | None:
    """The file below `places` (files or folders) whose end holds `text`; None if there is none."""
    needle = text.encode()
    for place in places:
        candidates = [place] if place.is_file() else sorted(place.rglob("*.json*")) if place.is_dir() else []
        for path in candidates:
            if needle in _end_of(path):
                return path
    return None


def _end_of(path: Path) -> bytes:
    """The last part of a file; nothing where it cannot be read."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - _TAIL_BYTES))
            return stream.read(_TAIL_BYTES + 1024)
    except OSError:
        return b""
