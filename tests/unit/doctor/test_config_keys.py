"""Old keys in Collector configurations: each is found, named with its place, and nothing else is."""

from __future__ import annotations

import pytest

from otel_logging.doctor import config_keys, config_tree
from otel_logging.doctor.config_keys import TYPES, key_findings
from otel_logging.doctor.finding import FAILED, WARNING


@pytest.fixture
def found(tmp_path):
    """Findings in a YAML text, as verdict, key path and the whole finding."""

    def look(text):
        path = tmp_path / "config.yaml"
        path.write_text(text, "utf-8")
        tree = config_tree.read(path)
        assert not tree.problems
        return list(key_findings(tree))

    return look


@pytest.mark.parametrize("old", TYPES, ids=lambda old: f"{old.section}-{old.type}")
class TestTypes:
    def test_is_named_with_its_place(self, old, found):
        """An old type is told with file, line, path, version and what to write; what is gone is a failure."""
        (one,) = found(f"# comment\n{old.section}:\n  {old.type}/mine:\n    a: 1\n")
        assert one.verdict == (FAILED if old.gone else WARNING)
        assert f"config.yaml:3: {old.section}.{old.type}/mine: " in one.says
        assert old.since in one.says
        assert old.now in one.cure
        assert one.facts["since"] == old.since

    def test_a_rename_keeps_the_name_after_the_slash(self, old, found):
        """What is to be written instead is the whole new name."""
        (one,) = found(f"{old.section}:\n  {old.type}/mine:\n")
        assert old.gone or one.cure == f"write {old.now}/mine"

    def test_elsewhere_it_is_no_matter(self, old, found):
        """The same word as another part's name, or in another section, is right."""
        other = "receivers" if old.section != "receivers" else "exporters"
        assert not found(f"{old.section}:\n  fine/{old.type}:\n{other}:\n  {old.type}x:\n")


class TestKeys:
    @pytest.mark.parametrize(
        ("text", "key", "verdict"),
        [
            ("exporters:\n  a:\n    batcher: {}\n", "exporters.a.batcher", FAILED),
            ("exporters:\n  a:\n    sending_queue: {blocking: false}\n", "exporters.a.sending_queue.blocking", FAILED),
            (
                "exporters:\n  a:\n    sending_queue: {batch: {min_size_items: 1}}\n",
                "exporters.a.sending_queue.batch.min_size_items",
                FAILED,
            ),
            (
                "exporters:\n  a:\n    sending_queue: {batch: {max_size_items: 1}}\n",
                "exporters.a.sending_queue.batch.max_size_items",
                FAILED,
            ),
            ("processors:\n  batch/x:\n", "processors.batch/x", WARNING),
            (
                "processors:\n  filter/x: {error_mode: ignore, logs: {log_record: ['a']}}\n",
                "processors.filter/x.logs.log_record",
                WARNING,
            ),
            ("processors:\n  transform: {log_statements: []}\n", "processors.transform", WARNING),
            ("service: {telemetry: {metrics: {address: ':8888'}}}\n", "service.telemetry.metrics.address", FAILED),
        ],
    )
    def test_is_found(self, text, key, verdict, found):
        """Each old key is told once, by its path, with a cure."""
        (one,) = found(text)
        assert (one.verdict, one.facts["key"]) == (verdict, key)
        assert key in one.says
        assert one.cure.startswith(("write", "take it out"))

    def test_of_today_are_right(self, found):
        """A configuration with the names of today is told nothing of."""
        assert not found(
            "receivers: {otlp: , file_log: }\n"
            "processors: {memory_limiter: , filter: {error_mode: ignore, log_conditions: []}, resource_detection: }\n"
            "exporters: {otlp_http: {sending_queue: {block_on_overflow: true, batch: {min_size: 1}}}, debug: }\n"
            "service: {telemetry: {metrics: {readers: []}}}\n"
        )

    @pytest.mark.parametrize("text", ["exporters: [a]\n", "exporters:\n", "exporters: {a: 3}\nprocessors: x\n"])
    def test_odd_shapes_are_no_trouble(self, text, found):
        """What is no map where one belongs is left to the Collector to refuse."""
        assert not found(text)

    def test_kind_is_what_stands_before_the_slash(self):
        """`otlp_http/datadog` is an `otlp_http`."""
        assert [config_keys.kind(name) for name in ("a/b/c", "a", "a /b")] == ["a", "a", "a"]
