"""The books as OTel metrics, where the application has metrics: read when they are collected, free otherwise.

`otel_logging.records` has what became of records (`outcome` is exported, held or dropped; dropped ones have a `reason`
and, where it is one, a `policy`); the sum over all of it is what was created. Nothing is counted in here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_logging.bridge.reasons import policy_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

NAME: Final = "otel_logging.records"
RECOVERED: Final = "otel_logging.records.recovered"

_source: Callable[[], dict[str, Any]] | None = None
_given: set[int] = set()  # providers that have our instruments: there is no way to take them back


_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")


def asked_for(environ: Mapping[str, str]) -> bool:
    """Whether metrics would lead anywhere.

    A distro names OTLP as the exporter where nobody has. Without any metrics it sends nothing; with ours
    it would complain once a minute that nobody listens on localhost.
    """
    return environ.get("OTEL_METRICS_EXPORTER", "") != "otlp" or any(environ.get(name) for name in _ENDPOINTS)


def install(snapshot: Callable[[], dict[str, Any]], provider: MeterProvider | None = None) -> None:
    """Observe the books that `snapshot` reads through `provider`; by default the global one, set now or later."""
    global _source
    _source = snapshot
    from opentelemetry import metrics

    if id(provider) in _given:
        return
    _given.add(id(provider))
    # Without a provider the API keeps only the wish, and fulfils it when one is set.
    meter = metrics.get_meter("otel_logging", meter_provider=provider)
    # Up and down, as a record that the flight recorder gives back moves from dropped to exported.
    meter.create_observable_up_down_counter(
        NAME, callbacks=[_records], unit="{record}", description="Log records by what became of them."
    )
    meter.create_observable_counter(
        RECOVERED, callbacks=[_recovered], unit="{record}", description="Dropped log records that were given back."
    )


def uninstall() -> None:
    """Observe nothing from now on."""
    global _source
    _source = None


def _records(_options: CallbackOptions) -> Iterable[Observation]:
    from opentelemetry.metrics import Observation

    if _source is None:
        return []
    books = _source()
    found = [Observation(books[outcome], {"outcome": outcome}) for outcome in ("exported", "held")]
    for reason, n in books["dropped"].items():
        policy = policy_of(reason)
        about = {"outcome": "dropped", "reason": reason}
        if policy is not None:
            about["reason"], about["policy"] = reason.partition(":")[0], policy
        found.append(Observation(n, about))
    return found


def _recovered(_options: CallbackOptions) -> Iterable[Observation]:
    from opentelemetry.metrics import Observation

    return [] if _source is None else [Observation(_source()["recovered"])]
