"""The back ends that a Collector ships to, each with the configuration that people deploy for it, pointed at loopback.

`back_end("datadog-otlp", folder)` gives one: `configs` and `env` are for `Collector`, `sink` has its outages, and
`stored()` is what it has, in one shape whichever it is. What is sent there does not belong in here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloudwatch_moto import CREDENTIALS, REGION, CloudWatch, Event
from collector_process import Config
from datadog_intake import KEY, Arrived, DatadogIntake

if TYPE_CHECKING:
    from pathlib import Path

    from otlp_sink import OtlpSink

NAMES = ("datadog-otlp", "datadog-json", "cloudwatch")


@dataclass
class BackEnd:
    """See the module."""

    name: str
    sink: OtlpSink
    stored: Callable[[], list[Arrived]]
    configs: tuple[Config, ...]
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def exporter(self) -> str:
        """The exporter's name in the configuration."""
        return EXPORTERS[self.name]


EXPORTERS = {"datadog-otlp": "otlp_http/datadog", "datadog-json": "datadog", "cloudwatch": "awscloudwatchlogs"}


@contextmanager
def back_end(name: str, folder: Path) -> Iterator[BackEnd]:
    """The one of that name, running until the block ends; nobody may have asked it what nobody should ask."""
    if name == "cloudwatch":
        folder.mkdir(parents=True, exist_ok=True)
        with CloudWatch(folder) as cloud:
            yield BackEnd(
                name,
                cloud,
                lambda: [from_event(event) for event in cloud.put()],
                ("config.yaml", "policies.yaml", "cloudwatch.yaml"),
                {**CREDENTIALS, "AWS_REGION": REGION, "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": cloud.url},
            )
            assert cloud.invalid == []
        return
    with DatadogIntake() as intake:
        file = "datadog.yaml" if name == "datadog-otlp" else "datadog-agentless-json.yaml"
        yield BackEnd(
            name,
            intake,
            lambda: list(intake.arrived),
            ("config.yaml", "policies.yaml", file),
            {
                "DD_API_KEY": KEY,
                "DD_OTLP_LOGS_ENDPOINT": f"{intake.url}/v1/logs",
                "DD_LOGS_ENDPOINT": intake.url,
                "DD_API_ENDPOINT": intake.url,
                "DD_TRACES_ENDPOINT": intake.url,
            },
        )
        assert intake.invalid == []


def from_event(event: Event) -> Arrived:
    """What CloudWatch stores, in the shape of a log of Datadog's explorer."""
    said = dict(event.data)
    resource = said.pop("resource", {})
    body = said.pop("body", "")
    return Arrived(
        route="cloudwatch",
        message=body,
        status=said.pop("severity_text", "").lower(),
        service=resource.get("service.name", ""),
        host=resource.get("host.name", ""),
        trace_id=said.pop("trace_id", ""),
        span_id=said.pop("span_id", ""),
        time=event.time * 1_000_000,
        attributes={**said.pop("attributes", {}), **resource},
        tags=[],
        size=len(event.text.encode()),
        cut="[Truncated" in event.text,
    )
