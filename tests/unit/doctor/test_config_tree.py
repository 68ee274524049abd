"""Collector configurations with lines: read, put together as the Collector does, never raising for what is in them."""

from __future__ import annotations

import pytest

from otel_logging.doctor import config_tree


@pytest.fixture
def tree(tmp_path):
    """Write texts to files `0.yaml`, `1.yaml`, … and put them together."""

    def make(*texts):
        trees = []
        for number, text in enumerate(texts):
            path = tmp_path / f"{number}.yaml"
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            trees.append(config_tree.read(path))
        return config_tree.merged(trees)

    return make


class TestReading:
    def test_lines(self, tree):
        """Every key and list item is known with its line."""
        made = tree("a:\n  b:\n    - x\n    - c: 1\n")
        assert made.where(("a", "b", 1, "c")).endswith("0.yaml:4: a.b[1].c")
        assert made.where(("a", "b", 1, "nothing", "here")).endswith("0.yaml:4: a.b[1].nothing.here")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("a: [1\nb: 2", "is no YAML"),
            ("a: 1\na: 2\n", "stands there twice"),
            ("- a\n", "is no map"),
            ("just words", "is no map"),
            (b"\xff\xfe\xfa", "is no YAML"),
            ("a: \x07", "is no YAML"),
            ("a: &a [*a]", "cannot be understood"),
            ("a: " + "[" * 3000, "is no YAML"),
            ("a: !!timestamp 99\n", "cannot be understood"),
        ],
    )
    def test_what_cannot_be_read_is_told(self, text, said, tree):
        """A file that is no configuration is one sentence with its place, and no exception."""
        made = tree(text)
        assert any(said in sentence for _, sentence in made.problems), made.problems
        assert all("0.yaml" in where for where, _ in made.problems)

    def test_a_missing_file_is_told(self, tmp_path):
        """So is a file that is not there."""
        ((where, sentence),) = config_tree.read(tmp_path / "none.yaml").problems
        assert where.endswith("none.yaml")
        assert "cannot be read" in sentence

    def test_an_empty_file_is_empty(self, tree):
        """An overlay of comments only is no problem."""
        made = tree("# nothing yet\n")
        assert (made.value, made.problems) == ({}, [])

    def test_anchors_and_merge_keys(self, tree):
        """What is written once and meant several times is seen in each place; what is written out wins."""
        made = tree("x: &q {storage: a, size: 1}\ny: {<<: *q, size: 2}\n")
        assert made.get("y") == {"storage": "a", "size": 2}


class TestMerging:
    def test_as_the_collector_does(self, tree):
        """Maps are merged, lists and single values replaced, an empty section takes nothing away."""
        made = tree("a: {b: 1, c: [1, 2]}\nd: {e: 1}\n", "a: {c: [3], f: 2}\nd:\n")
        assert made.value == {"a": {"b": 1, "c": [3], "f": 2}, "d": {"e": 1}}

    def test_places_are_those_of_the_last_word(self, tree):
        """What an overlay replaces is found in the overlay."""
        made = tree("a:\n  b: 1\n  c: [1, 2]\n", "\n\na:\n  c: [3]\n")
        assert made.where(("a", "b")).endswith("0.yaml:2: a.b")
        assert made.where(("a", "c", 0)).endswith("1.yaml:4: a.c[0]")
        assert made.where(("a", "c", 1)).endswith("1.yaml:4: a.c[1]")
