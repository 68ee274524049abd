"""Policy files: bundled and given, right and wrong."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from otel_logging.policy import frozen, patterns
from otel_logging.policy.load import load

GOOD = """
policies:
  - id: drop-a
    name: Drop a
    log: {match: [{log_field: body, contains: a}], keep: none}
"""


@pytest.fixture
def written(tmp_path):
    def write(text, name="rules.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


class TestLoad:
    def test_bundled_and_files_together(self, written):
        """Sources are read in order, by name and by path."""
        loaded = load(["voice", written(GOOD)])
        assert loaded.errors == []
        assert [policy.id for policy in loaded.policies][-1] == "drop-a"
        assert {policy.source for policy in loaded.policies} == {"voice.yaml", "rules.yaml"}

    def test_json_whatever_the_name_and_a_byte_order_mark(self, written):
        """JSON is read under any name, tabs included, and a byte order mark is skipped."""
        document = {
            "policies": [
                {"id": "p", "log": {"match": [{"logField": "LOG_FIELD_BODY", "exact": "é\u2028"}], "keep": "none"}}
            ]
        }
        sources = [
            written(json.dumps(document), "a.json"),
            written("\ufeff" + json.dumps(document, indent="\t", ensure_ascii=False).replace('"p"', '"q"'), "b.conf"),
        ]
        loaded = load(sources)
        assert loaded.errors == []
        assert [policy.match[0].value for policy in loaded.policies] == ["é\u2028"] * 2

    def test_several_documents_in_one_file(self, written):
        """A YAML stream of single policies is read whole."""
        text = "id: a\nlog: {match: [{log_field: body, exact: x}]}\n---\nid: b\nlog: {match: [{log_field: body, exact: y}]}\n"
        assert [policy.id for policy in load([written(text)]).policies] == ["a", "b"]

    def test_scalars_are_those_of_yaml_1_2(self, written):
        """Text stays text where YAML 1.1 would see a boolean, a date or a time."""
        words = ["no", "on", "y", "2024-01-21", "12:30:45", "1_000", "0b1", "none", "="]
        matchers = "".join(f"      - {{log_field: body, exact: {word}}}\n" for word in words)
        loaded = load([written(f"id: p\nlog:\n    match:\n{matchers}")])
        assert loaded.errors == []
        assert [matcher.value for matcher in loaded.policies[0].match] == words

    def test_numbers_keep_their_types(self, written):
        """Shorthand values are typed by how they are written."""
        values = {
            "true": True,
            "5": 5,
            "-5": -5,
            "0x1F": 31,
            "0o17": 15,
            "017": 17,
            "08": 8,
            "-007": -7,
            "0.5": 0.5,
            "1e3": 1000.0,
            ".inf": float("inf"),
            "'5'": "5",
        }
        matchers = "".join(f"      - {{log_attribute: a, equals: {text}}}\n" for text in values)
        found = [matcher.value for matcher in load([written(f"id: p\nlog:\n    match:\n{matchers}")]).policies[0].match]
        assert [(value, type(value)) for value in found] == [(value, type(value)) for value in values.values()]

    def test_anchors_and_merges(self, written):
        """Parts may be shared within a file."""
        text = """
x-shared: &frame {otel-logging.class: frame}
policies:
  - {id: a, labels: *frame, log: {match: [&m {log_field: body, exact: x}]}}
  - {id: b, log: {match: [{<<: *m, negate: true}]}}
"""
        loaded = load([written(text)])
        assert loaded.errors == []
        assert loaded.policies[0].frame
        assert loaded.policies[1].match[0].negate


def regexes_in(part):
    if isinstance(part, list):
        for one in part:
            yield from regexes_in(one)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key == "regex" and isinstance(value, str):
                yield value
            else:
                yield from regexes_in(value)


class TestBundled:
    @pytest.mark.parametrize("name", ["voice", "privacy"])
    def test_json_is_the_yaml(self, name):
        """What a process reads is what people read; else: python -m otel_logging.policy.frozen."""
        yaml, quick = frozen.FOLDER / f"{name}.yaml", frozen.FOLDER / f"{name}.json"
        assert quick.read_text(encoding="utf-8") == frozen.frozen(yaml.read_text(encoding="utf-8"))

    @pytest.mark.parametrize("name", ["voice", "privacy"])
    def test_patterns_are_valid(self, name, monkeypatch):
        """Each regular expression in it is valid RE2, with letters of either case too: no process looks any more."""
        monkeypatch.setattr(patterns, "_trusted", set())
        found = list(regexes_in(json.loads((frozen.FOLDER / f"{name}.json").read_text(encoding="utf-8"))))
        assert len(found) > 5
        for pattern in found:
            patterns.check(pattern)
            patterns.check(patterns.translate("regex", pattern, case_insensitive=True))

    def test_only_they_are_trusted(self, written, monkeypatch):
        """A pattern in a file of the user's own is looked at."""
        monkeypatch.setattr(patterns, "_trusted", set())
        load(["voice"])
        assert patterns._trusted
        before = set(patterns._trusted)
        name = written("{id: p, name: P, log: {match: [{log_field: body, regex: '('}], keep: none}}")
        assert "invalid regex" in load([name]).errors[0]
        assert patterns._trusted == before

    def test_no_yaml_is_read(self):
        """A process with the bundled policies alone does not load a YAML parser."""
        code = (
            "import sys\n"
            "from otel_logging.policy.load import load\n"
            "assert not load(['voice', 'privacy']).errors\n"
            "assert 'yaml' not in sys.modules\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


class TestWrongFiles:
    def test_a_broken_policy_leaves_the_others(self, written):
        """The error names file, policy and place, and the rest of the file is in force."""
        loaded = load(
            [written(GOOD + "  - id: audio-frames\n    log: {match: [{log_fild: body, exact: x}], keep: none}\n")]
        )
        assert loaded.errors == [
            (
                "rules.yaml: policy 'audio-frames': log: match[0]: unknown field 'log_fild'; valid: log_field, "
                "log_attribute, resource_attribute, scope_attribute, exact, regex, starts_with, ends_with, contains, "
                "exists, equals, gt, gte, lt, lte, negate, case_insensitive; this policy is ignored"
            )
        ]
        assert [bool(policy.errors) for policy in loaded.policies] == [False, True]

    def test_the_same_id_twice(self, written):
        """The first policy of an id is in force; the second is told about."""
        loaded = load([written(GOOD), written(GOOD, "more.yaml")])
        assert loaded.errors == ["more.yaml: policy 'drop-a': id: already used in rules.yaml; this policy is ignored"]
        assert [bool(policy.errors) for policy in loaded.policies] == [False, True]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("policies: [", "rules.yaml: is not valid YAML or JSON: "),
            ('{"policies": [}', "is not valid YAML or JSON"),
            ('{"a": 1, "a": 2}', "key 'a' is given twice (line 1, column 1)"),
            ("a: 1\na: 2\n", "key 'a' is given twice (line 1, column 1)"),
            (
                "!!python/object/apply:os.system ['true']",
                "is not valid YAML or JSON: could not determine a constructor",
            ),
            ("just text", "a policy file holds a list of policies under 'policies', or one policy"),
            ("policies: 5", "'policies' must be a list"),
            (b"\xff\xfe\x00", "is not a UTF-8 text file"),
            ("[" * 5000, "is not valid YAML or JSON"),
            ("a: \x07", "is not valid YAML or JSON"),
            ("? [a]\n: b\n", "is not valid YAML or JSON"),
        ],
    )
    def test_a_file_that_is_none(self, written, text, said):
        """A file that cannot be read as policies is one sentence, and the other sources are in force."""
        loaded = load([written(text), written(GOOD, "good.yaml")])
        assert [policy.id for policy in loaded.policies] == ["drop-a"]
        assert len(loaded.errors) == 1
        assert said in loaded.errors[0]
        assert loaded.errors[0].endswith("nothing of it is in force")
        assert "\n" not in loaded.errors[0]

    def test_an_empty_file_is_no_error(self, written):
        """A file of comments holds no policies."""
        assert load([written("# nothing yet\n")]) == load([])

    def test_missing_files_and_names(self, tmp_path):
        """A missing file, a folder, an impossible path and an unknown set are a sentence each."""
        loaded = load([str(tmp_path / "no.yaml"), str(tmp_path), "a\0b.yaml", "vioce"])
        assert loaded.policies == ()
        assert [sentence.split("/")[-1] for sentence in loaded.errors[:2]] == [
            "no.yaml: cannot be read (No such file or directory); nothing of it is in force",
            f"{tmp_path.name}: cannot be read (Is a directory); nothing of it is in force",
        ]
        assert "is not a UTF-8 text file" in loaded.errors[2]
        assert loaded.errors[3].startswith("vioce: there is no bundled policy set of this name; valid: ")
        assert "voice, or the path of a file" in loaded.errors[3]
