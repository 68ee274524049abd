"""`otel-logging policy check|explain|eval|suggest|render`."""

import json

import pytest
import yaml

SID = "CA" + "a1" * 16
RULES = """
policies:
  - id: cache
    log:
      match: [{log_field: body, starts_with: "[CACHE] hit"}]
      keep: none
  - id: once
    log:
      match: [{log_field: body, contains: tick}]
      keep: 1/m
"""


@pytest.fixture
def rules(tmp_path, monkeypatch):
    for name in ("OTEL_LOGGING_POLICIES", "OTEL_LOGGING_PRIVACY", "LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


class TestCheck:
    def test_good_files(self, run, rules):
        """Files without a mistake end with 0."""
        result = run("policy", "check", rules, "voice", "privacy")
        assert (result.code, result.out) == (0, "")
        assert result.err.endswith("policies in 3 files, no errors\n")

    def test_errors(self, run, rules, tmp_path):
        """Each mistake names file, policy and place; 1."""
        bad = tmp_path / "bad.yaml"
        bad.write_text(
            'policies:\n  - id: a\n    log: {match: [{log_field: body, regex: "([a"}], transform: {redact: [{}]}}\n  - id: cache\n    log: {match: [{log_field: body, exact: x}]}\n'
        )
        result = run("policy", "check", rules, bad, tmp_path / "none.yaml", "--json")
        assert result.code == 1
        errors = json.loads(result.out)["errors"]
        assert (
            errors[0]
            == "bad.yaml: policy 'a': log: match[0]: invalid regex \"([a\": missing ]: [a; this policy is ignored"
        )
        assert errors[1].startswith("bad.yaml: policy 'a': log: transform: redact[0]: no field set;")
        assert errors[2] == "bad.yaml: policy 'cache': id: already used in rules.yaml; this policy is ignored"
        assert "none.yaml: cannot be read" in errors[3]

    def test_notes(self, run, tmp_path):
        """What is right and may surprise is said, and is no error."""
        path = tmp_path / "r.yaml"
        path.write_text(
            "id: p\nextensions: [{type: x/y, version: '1', config: {}}]\nlog: {match: [{log_field: scope_name, exact: x}], keep: none}\n"
        )
        result = run("policy", "check", path)
        assert result.code == 0
        assert "extension 'x/y' is not supported and skipped" in result.out
        assert "other implementations do not know the field scope_name" in result.out


class TestExplain:
    def test_a_message(self, run, rules):
        """Dropped by which policy, which matcher, in which file."""
        result = run("policy", "explain", "[CACHE] hit 3", "--policies", rules)
        assert result.lines == [
            "dropped  INFO     [CACHE] hit 3",
            "    by cache (rules.yaml), keep: none",
            '        match[0]: body starts_with "[CACHE] hit"',
        ]
        assert "1 record: 1 dropped by cache" in result.err

    def test_who_else_would_have_dropped_it(self, run, tmp_path):
        """A policy that asked for the same is not overridden; one that asked for more is."""
        path = tmp_path / "three.yaml"
        match = "log: {match: [{log_field: body, contains: hit}], keep"
        path.write_text(
            "policies:\n"
            + "".join(
                f"  - {{id: {name}, {match}: {keep}}}}}\n"
                for name, keep in [("c", "50%"), ("b", "none"), ("a", "none")]
            )
        )
        result = run("policy", "explain", "[CACHE] hit 3", "--policies", path)
        assert [line.strip() for line in result.lines if "three.yaml" in line] == [
            "by a (three.yaml), keep: none",
            "also by b (three.yaml), keep: none",
            "overridden: c (three.yaml), keep: 50%",
        ]
        told = json.loads(run("policy", "explain", "[CACHE] hit 3", "--policies", path, "--json").out)["policies"]
        assert [(one["policy"], one["decided"], one["agreed"]) for one in told] == [
            ("a", True, False), ("b", False, True), ("c", False, False),
        ]  # fmt: skip

    def test_level_and_redaction(self, run, rules):
        """LOG_LEVEL drops too; a redacted message is shown as it would leave, with the policy that did it."""
        assert "below LOG_LEVEL" in run("policy", "explain", "x", "--level", "debug", "--policies", rules).out
        shown = json.loads(run("policy", "explain", "password=hunter2", "--policies", rules, "--json").out)
        assert (shown["kept"], shown["message"], shown["redacted_by"]) == (
            True,
            "password=[REDACTED]",
            ["privacy-passwords"],
        )
        assert run("policy", "explain", "x", "--level", "LOUD").code == 2

    def test_a_log_file(self, run, rules, tmp_path):
        """JSON and human console lines; rates come out by the records' own times."""
        log = tmp_path / "app.log"
        lines = [
            {"timestamp": f"2024-01-21T19:{minute}:26.000Z", "level": "INFO", "message": "tick", "logger": "m"}
            for minute in (30, 30, 31)
        ]
        log.write_text(
            "\n".join(map(json.dumps, lines)) + "\n[2024-01-21 19:30:26] ERROR    [m] it broke\n    Traceback\n"
        )
        result = run("policy", "explain", log, "--policies", rules, "--json")
        found = [json.loads(line) for line in result.lines]
        assert [(one["message"], one["level"], one["kept"]) for one in found] == [
            ("tick", "INFO", True), ("tick", "INFO", False), ("tick", "INFO", True), ("it broke", "ERROR", True),
        ]  # fmt: skip
        assert found[1]["why"] == "keep: 1/60s (used up)"

    def test_human_lines(self, run, rules, tmp_path):
        """A traceback belongs to its line, what others print is a line of its own, and rates know the lines' times."""
        log = tmp_path / "app.log"
        log.write_text(
            "[2024-01-21 19:30:26] INFO     [media_ws_ai] 📞 tick one\n"
            "[2024-01-21 19:30:27] ERROR    [media_ws_ai] it broke\n"
            "Traceback (most recent call last):\n"
            '  File "x.py", line 3, in f\n'
            "    raise ValueError('tick')\n"
            "ValueError: tick\n"
            "\n"
            "During handling of the above exception, another exception occurred:\n"
            "\n"
            "Traceback (most recent call last):\n"
            '  File "x.py", line 5, in f\n'
            "KeyError: 'tick'\n"
            "printed by a neighbour: tick\n"
            "[2024-01-21 19:30:28] INFO     [media_ws_ai] tick two\n"
            "[2024-01-21 19:31:40] INFO     [media_ws_ai] tick three\n",
            encoding="utf-8",
        )
        found = [json.loads(line) for line in run("policy", "explain", log, "--policies", rules, "--json").lines]
        assert [(one["message"], one["level"], one["kept"]) for one in found] == [
            ("📞 tick one", "INFO", True),
            ("it broke", "ERROR", True),
            ("printed by a neighbour: tick", "INFO", False),
            ("tick two", "INFO", False),
            ("tick three", "INFO", True),
        ]
        assert {one["logger"] for one in found if one["level"] == "ERROR"} == {"media_ws_ai"}

    def test_a_call(self, run, store, rules):
        """A call id is looked for in the local store; what is not there is 1."""
        result = run("--store", store.root, "policy", "explain", SID, "--policies", rules)
        assert result.code == 0
        assert sum(line.startswith("kept") for line in result.lines) == 4
        assert run("policy", "explain", "CA" + "0" * 32).code == 1

    def test_an_override(self, run, rules, tmp_path):
        """A record that was given back is kept whatever the policies say."""
        log = tmp_path / "app.jsonl"
        log.write_text(
            json.dumps({"timestamp": 1, "level": "INFO", "message": "[CACHE] hit", "otel_logging.recovered": True})
        )
        assert "given back by the flight recorder" in run("policy", "explain", log, "--policies", rules).out


class TestEval:
    def test_only_logs(self, run, rules, tmp_path):
        """Another signal is a usage error; a file that cannot be read is 1."""
        places = [
            "--policies",
            rules,
            "--input",
            tmp_path / "no.json",
            "--output",
            tmp_path / "o",
            "--stats",
            tmp_path / "s",
        ]
        assert run("policy", "eval", *places, "--signal", "trace").code == 2
        assert run("policy", "eval", *places, "--signal", "log").code == 1

    def test_shared_parts(self, run, tmp_path):
        """What records share is changed in place; values that no policy changed keep the form they were written in."""
        (tmp_path / "p.json").write_text(json.dumps({"policies": [{"id": "p", "name": "p", "log": {
            "match": [{"log_attribute": ["a", "b"], "equals": 1}],
            "transform": {"add": [{"resource_attribute": "seen", "value": "yes"}], "redact": [{"log_attribute": ["a", "c"]}], "remove": [{"log_field": "body"}]}}}]}))  # fmt: skip
        attributes = [{"key": "a", "value": {"kvlistValue": {"values": [{"key": "b", "value": {"intValue": "1"}}, {"key": "c", "value": {"stringValue": "x"}}]}}},
                      {"key": "raw", "value": {"bytesValue": "3q2+7w=="}}]  # fmt: skip
        record = {
            "body": {"stringValue": "x"},
            "severityNumber": "SEVERITY_NUMBER_INFO",
            "attributes": attributes,
            "flags": 1,
        }
        (tmp_path / "in.json").write_text(json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}))
        places = [
            part
            for name in ("policies:p.json", "input:in.json", "output:out.json", "stats:st.json")
            for part in (f"--{name.split(':')[0]}", tmp_path / name.split(":")[1])
        ]
        assert run("policy", "eval", *places, "--signal", "log").code == 0
        group = json.loads((tmp_path / "out.json").read_text())["resourceLogs"][0]
        assert group["resource"]["attributes"] == [{"key": "seen", "value": {"stringValue": "yes"}}]
        made = group["scopeLogs"][0]["logRecords"][0]
        assert made["attributes"][0]["value"]["kvlistValue"]["values"][1] == {
            "key": "c",
            "value": {"stringValue": "[REDACTED]"},
        }
        assert (made["attributes"][1], made["flags"], made["severityNumber"], made["body"]) == (
            attributes[1],
            1,
            "SEVERITY_NUMBER_INFO",
            {},
        )


def test_help(run):
    """Without a verb, or with one that is not there, the verbs are named."""
    assert (run("policy").code, run("policy", "--help").code, run("policy", "nope").code) == (2, 0, 2)
    assert "explain" in run("policy", "--help").out


class TestRender:
    def test_to_stdout(self, run, rules):
        """The file goes to stdout, what it holds to stderr."""
        result = run("policy", "render", "--to", "collector", "--policies", rules, "--privacy", "none", "--approximate")
        assert result.code == 0
        processors = yaml.safe_load(result.out)["processors"]
        assert len(processors["filter/policies"]["log_conditions"]) == 1
        assert result.err == "otel-logging: 1 condition, 0 statements, 1 note\n"

    def test_refused(self, run, rules, tmp_path):
        """What the Collector cannot do is named with file, policy and place; nothing is written; 1."""
        output = tmp_path / "policies.yaml"
        words = ["policy", "render", "--to", "collector", "--policies", rules, "--privacy", "none"]
        result = run(*words, "--output", output)
        assert (result.code, result.out) == (1, "")
        assert result.err.startswith(
            "otel-logging: rules.yaml: policy 'once': log: keep: 1/60s: the Collector keeps no"
        )
        assert not output.exists()
        result = run(*words, "--json")
        assert result.code == 1
        assert json.loads(result.out)["refused"] == [result.err.removeprefix("otel-logging: ").strip()]

    def test_written_and_as_json(self, run, rules, tmp_path):
        """--output and --json say the same; the file names the command that makes it again."""
        output = tmp_path / "policies.yaml"
        words = ["policy", "render", "--to", "collector", "--policies", "voice", rules, "--approximate", "--json"]
        result = run(*words, "--output", output)
        assert result.code == 0
        said = json.loads(result.out)
        assert said["refused"] == []
        text = output.read_text(encoding="utf-8")
        assert yaml.safe_load(text)["processors"] == said["processors"]
        first = text.replace("\n# ", " ")
        assert f"--policies voice,{rules} --privacy secrets --approximate`" in first

    def test_what_cannot_be_read_or_written(self, run, rules, tmp_path):
        """A missing file of policies is not rendered as if it were empty; an output that cannot be is one sentence."""
        words = ["policy", "render", "--to", "collector", "--privacy", "none", "--approximate", "--policies"]
        result = run(*words, tmp_path / "none.yaml", "--output", tmp_path / "out.yaml")
        assert result.code == 1
        assert "none.yaml: cannot be read" in result.err
        assert not (tmp_path / "out.yaml").exists()
        result = run(*words, rules, "--output", tmp_path / "no" / "out.yaml")
        assert result.code == 1
        assert "out.yaml: cannot be written (No such file or directory)" in result.err

    def test_a_broken_policy_is_left_out(self, run, tmp_path):
        """As in the application: told, noted in the file, and the others are in force."""
        bad = tmp_path / "bad.yaml"
        bad.write_text(RULES.replace("starts_with", "regex").replace("keep: 1/m", "keep: none"))
        result = run("policy", "render", "--to", "collector", "--privacy", "none", "--policies", bad)
        assert result.code == 0
        bad.write_text(RULES.replace('starts_with: "[CACHE] hit"', 'regex: "("').replace("keep: 1/m", "keep: none"))
        result = run("policy", "render", "--to", "collector", "--privacy", "none", "--policies", bad)
        assert result.code == 0
        assert "bad.yaml: policy 'cache': log: match[0]: invalid regex" in result.err
        assert "# Notes:\n#   - bad.yaml: policy 'cache' is left out" in result.out

    def test_wrong_usage(self, run, rules):
        """--to is needed, and a privacy mode must be one."""
        assert run("policy", "render").code == 2
        assert run("policy", "render", "--to", "collector", "--privacy", "some").code == 2


class TestSuggest:
    @pytest.fixture
    def log(self, tmp_path):
        path = tmp_path / "app.jsonl"
        lines = [
            {"timestamp": f"2024-01-21T19:30:{n % 60:02}.000Z", "level": "INFO", "message": message, "call_sid": SID}
            for n in range(40)
            for message in (f"[CACHE] hit user:{n}", f"step {n} done", f"tick {n}")
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    def test_a_log_file(self, run, rules, log, tmp_path):
        """Rules for what a log repeats, as a file that checks; what the rules in force drop is not proposed again."""
        result = run("policy", "suggest", log, "--policies", rules)
        assert result.code == 0
        assert "# These rules would drop 40 of 40 lines (100%), all below WARN." in result.out
        assert result.err == "otel-logging: 1 rule for 40 lines; at least 20 of one shape in a call\n"
        proposed = tmp_path / "proposed.yaml"
        proposed.write_text(result.out, encoding="utf-8")
        assert run("policy", "check", proposed).code == 0
        verdict = run("policy", "explain", "step 7 done", "--policies", proposed)
        assert verdict.out.startswith("dropped")

    def test_as_json_and_limits(self, run, log):
        """--json is one object a rule; --top and --least bound them; nothing to propose is 1."""
        result = run("policy", "suggest", log, "--top", "2", "--json")
        one, other = map(json.loads, result.out.splitlines())
        assert (one["lines"], one["calls"], one["lines_per_call"], other["lines"]) == (40, 1, 40.0, 40)
        assert one["policy"]["log"]["keep"] == "none"
        assert run("policy", "suggest", log, "--least", "41").code == 1
        assert run("policy", "suggest", log, "--since", "2025-01-01").code == 1
        result = run("policy", "suggest", log.with_name("none"))
        assert (result.code, result.out) == (1, "")
        assert "cannot be read (No such file or directory)" in result.err

    def test_the_store(self, run, tmp_path):
        """Without a file the local store is read; what was let through or given back is not proposed."""
        folder = tmp_path / "store"
        attributes = [{"key": "call_sid", "value": {"stringValue": SID}}]
        through = [*attributes, {"key": "otel_logging.trigger", "value": {"stringValue": "error"}}]
        made = [
            {
                "timeUnixNano": "1705865426000000000",
                "severityNumber": 9,
                "body": {"stringValue": f"{word} {n} done"},
                "attributes": of,
            }
            for n in range(30)
            for word, of in (("basket", attributes), ("cart", through))
        ]
        (folder / "logs").mkdir(parents=True)
        request = {"resourceLogs": [{"scopeLogs": [{"logRecords": made}]}]}
        (folder / "logs" / "a.jsonl").write_text(json.dumps(request) + "\n")
        result = run("policy", "suggest", "--store", folder, "--json")
        assert [json.loads(line)["policy"]["id"] for line in result.out.splitlines()] == ["basket-done"]
