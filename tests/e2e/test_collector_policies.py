"""One rule file, everywhere: the Collector drops, keeps and changes what the application does, by rendered policies."""

from __future__ import annotations

from pathlib import Path
from random import Random

import yaml
from random_rules import policy, record
from rendered_rules import by_the_engine, compare, id_of, one_by_one, request, through_the_collector

from otel_logging.policy.collector_file import document
from otel_logging.policy.engine import PolicySet
from otel_logging.policy.parse import policy as parsed
from otel_logging.policy.render import render
from otel_logging.policy.sets import asked_for

ROOT = Path(__file__).parents[2]
SETS, POLICIES, RECORDS = 48, 5, 50
GUIDE = yaml.safe_load((ROOT / "tests" / "unit" / "policy" / "guide_lines.yaml").read_text("utf-8"))
LINES = [
    line for kinds in (GUIDE["kept"], GUIDE["dropped"], GUIDE["limited"]) for lines in kinds.values() for line in lines
]
AUDIO = "".join(chr(48 + (n * 7) % 10) + chr(65 + (n * 11) % 26) + chr(97 + n % 26) for n in range(64))
SID = "CA" + "0123456789abcdef" * 2
# What a privacy mode covers up, and what only looks like it: ids, and words that announce something.
PRIVATE = [
    f'{{"event":"media","streamSid":"MZ{SID[2:]}","media":{{"payload":"{AUDIO}"}}}}',
    f"media: {SID} went on, payload={AUDIO}, then {SID}",
    f"sha512 {SID[2:] * 4} of chunk={AUDIO}",
    f"payload={AUDIO}", "[DTMF] caller typed digits=739164", "asked with Authorization: Bearer t0ps3cr3tb34r3r",
    "client made with sk-proj-abcdefghijklmnop1234", "login password=hunter2hunter2 user=bob", "Set-Cookie: sid=abc; x=1",
    "paid with card 4580458045804580", "call from +972501234567 to 0501234567", "trace 4f0c1ab2-4111-4222-8333-944455556666 done",
    "at 2024-01-21 19:30:26.123 session-id=972501234567", "customer loaded: name=דנה כהן, stage=2", "mail dana@example.com",
    "[CUSTOMER] I want an appointment\nfor two", "postgres://app:s3cret@db/calls", "redis $1 ${HOME} $$", "nothing at all",
]  # fmt: skip
# Of two samples by different keys the lower percentage alone decides, and of one key both agree.
SAMPLERS = [
    {"id": name, "log": {"match": [{**key, "exists": True}], "keep": keep, "sample_key": key}}
    for name, keep, key in (
        ("b", "20%", {"log_attribute": "conv"}),
        ("a", "30%", {"log_field": "trace_id"}),
        ("c", "60%", {"log_attribute": "conv"}),
    )
]


class Clock:
    """Seconds that pass so fast that no rate is ever used up: the Collector has none."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1000
        return self.now


class TestDifferential:
    def test_the_collector_does_what_the_engine_does(self, tmp_path):
        """Over 2,000 records by generated policies: the same survivors, bodies and attributes, each exactly once."""
        random = Random(20240121)
        sets, told, requests, expected = {}, {}, [], {}
        for number in range(SETS):
            raw = [policy(random, position) for position in range(POLICIES)] if number else SAMPLERS
            policies = [parsed(one, position) for position, one in enumerate(raw)]
            assert not [one.errors for one in policies if one.errors]
            rendered = render(policies)
            assert not rendered.refused
            name = f"s{number}"
            sets[name] = document(rendered)["processors"]
            told[name] = "\n".join(map(repr, policies))
            made = [record(random, f"{name}:{position}") for position in range(RECORDS)]
            requests.append({"resourceLogs": made})
            engine = PolicySet(policies)
            expected.update({id_of(place): by_the_engine(engine, place) for place in one_by_one(made)})
        found, said = through_the_collector(tmp_path, sets, requests)
        assert len(expected) >= 2_000
        compare(expected, found, told)
        assert "failed to" not in said  # no condition or statement met a value that it cannot take
        dropped = sum(wanted is None for wanted in expected.values())
        assert 500 < dropped < len(expected) - 500


class TestBundled:
    def test_bundled_policies_in_the_collector(self, tmp_path):
        """The committed file, and the strict redactions: every line of the guide, and private texts, as in the engine."""
        committed = yaml.safe_load((ROOT / "collector" / "policies.yaml").read_text("utf-8"))["processors"]
        strict, _ = asked_for(["voice"], "strict")
        sets = {
            "secrets": (asked_for(["voice"], "secrets")[0], committed),
            "strict": (strict, document(render(strict, approximate=True))["processors"]),
        }
        made, expected = {}, {}
        for name, (policies, _) in sets.items():
            bodies = [(line, severity) for line in LINES for severity in (9, 13)] + [(line, 0) for line in LINES[::5]]
            bodies += [(text, 9) for text in PRIVATE]
            made[name] = [
                request(
                    f"{name}:{position}", body, severity, {"note": PRIVATE[position % len(PRIVATE)], "call_sid": SID}
                )
                for position, (body, severity) in enumerate(bodies)
            ]
            engine = PolicySet(policies, clock=Clock())
            expected.update({id_of(place): by_the_engine(engine, place) for place in one_by_one(made[name])})
        parts = {name: processors for name, (_, processors) in sets.items()}
        found, said = through_the_collector(tmp_path, parts, [{"resourceLogs": one} for one in made.values()])
        compare(expected, found, {})
        assert "failed to" not in said
