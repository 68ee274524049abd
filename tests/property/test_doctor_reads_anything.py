"""Whatever stands in a Collector configuration, the doctor tells what it can and never raises or shows a secret."""

from __future__ import annotations

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_logging.doctor.examination import config_findings

SECRET = "s3cr3t-0123456789"
WORDS = st.sampled_from(
    [
        "receivers", "processors", "exporters", "extensions", "connectors", "service", "pipelines", "telemetry",
        "metrics", "address", "logs", "otlp", "otlp_http", "otlphttp/x", "filter", "batch", "redaction", "datadog",
        "memory_limiter", "sending_queue", "storage", "retry_on_failure", "max_elapsed_time", "endpoint", "protocols",
        "http", "api", "key", "token", "headers", "log_record", "check_interval", "auth", "<<", "",
    ]
)  # fmt: skip
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | st.binary(max_size=3) | WORDS
    | st.just("0.0.0.0:4318") | st.just("${env:X:-y}") | st.text(max_size=5)
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.integers(0, 2), inner, max_size=5),
    max_leaves=8,
)


def either(shape):
    """A part of the right shape, or anything in its place."""
    return shape | TREES


NAMES = either(st.lists(WORDS, max_size=3))
PIPELINE = st.fixed_dictionaries({}, optional={"receivers": NAMES, "processors": NAMES, "exporters": NAMES})
EXPORTER = st.fixed_dictionaries(
    {}, optional={"sending_queue": TREES, "retry_on_failure": TREES, "headers": TREES, "endpoint": LEAVES}
)
WHOLES = st.fixed_dictionaries(
    {},
    optional={
        "receivers": either(st.dictionaries(WORDS, TREES, max_size=2)),
        "processors": either(st.dictionaries(WORDS, TREES, max_size=3)),
        "exporters": either(st.dictionaries(WORDS, either(EXPORTER), max_size=3)),
        "extensions": either(st.dictionaries(WORDS, TREES, max_size=2)),
        "service": either(
            st.fixed_dictionaries(
                {},
                optional={
                    "extensions": NAMES,
                    "telemetry": TREES,
                    "pipelines": either(st.dictionaries(WORDS, either(PIPELINE), max_size=2)),
                },
            )
        ),
    },
)


@settings(deadline=None, max_examples=60)
@given(st.lists(WHOLES, min_size=1, max_size=3))
def test_any_shape(tmp_path_factory, wholes):
    """Sections, pipelines and settings of any type, merged with one another, are no trouble."""
    folder = tmp_path_factory.mktemp("any")
    paths = []
    for number, whole in enumerate(wholes):
        paths.append(folder / f"{number}.yaml")
        paths[-1].write_text(yaml.safe_dump(whole), "utf-8")
    for one in config_findings(paths):
        assert one.says
        assert (one.verdict == "ok") == (not one.cure)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode), st.integers(0, 200))
def test_any_bytes(tmp_path_factory, data, at):
    """A file of any bytes, with a secret in it wherever it may be, is read without showing that."""
    path = tmp_path_factory.mktemp("any") / "config.yaml"
    path.write_bytes(data[:at] + f"\nname: !!int {SECRET}\n".encode() + data[at:])
    assert not any(SECRET in str(one.as_json()) for one in config_findings([path]))
