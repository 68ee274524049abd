"""`otel-logging policy eval`: the runner interface of the Telemetry Policy conformance suite, over OTLP/JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from otel_logging.cli import DONE, NOTHING, USAGE, common


def main(argv: list[str]) -> int:
    """Apply policies to a request; 1 if a file cannot be read or written, 2 for a signal that is not ours."""
    parser = argparse.ArgumentParser(
        prog="otel-logging policy eval",
        description="Apply policies to one OTLP/JSON request: what stays, transformed, and each policy's counts.",
        allow_abbrev=False,
        epilog="Broken policies are left out and named in the counts. Exit codes: 0 done, 1 a file failed, 2 usage.",
    )
    parser.add_argument("--policies", metavar="FILE", required=True, help="policies, YAML or JSON")
    parser.add_argument("--input", metavar="FILE", required=True, help="an ExportLogsServiceRequest as JSON")
    parser.add_argument(
        "--output", metavar="FILE", required=True, help="where the request goes as the policies leave it"
    )
    parser.add_argument("--stats", metavar="FILE", required=True, help="where hits, misses and errors go")
    parser.add_argument("--signal", choices=("log", "metric", "trace"), required=True, help="only `log` is supported")
    parser.add_argument("--json", action="store_true", help="print the counts as one JSON object too")
    args = parser.parse_args(argv)
    if args.signal != "log":
        common.tell(f"policies for {args.signal}s are not carried out here; valid: --signal log")
        return USAGE
    from otel_logging.policy.engine import PolicySet
    from otel_logging.policy.load import load
    from otel_logging.policy.otlp_json import filtered

    loaded = load([args.policies if "/" in args.policies else f"./{args.policies}"])
    for sentence in loaded.errors:
        common.tell(sentence)
    policies = PolicySet(loaded.policies)
    try:
        document = json.loads(Path(args.input).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        common.tell(f"{args.input}: cannot be read as JSON ({error})")
        return NOTHING
    document = filtered(policies, document)
    stats = {"policies": [_stats(one) for one in policies.stats()]}
    try:
        Path(args.output).write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
        Path(args.stats).write_text(json.dumps(stats, ensure_ascii=False) + "\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        common.tell(f"cannot be written: {error}")
        return NOTHING
    if args.json:
        common.print_json([stats])
    return DONE


def _stats(one: Any) -> dict[str, Any]:
    """One policy's counts in the suite's form: what is zero or empty is left out, but for the hits."""
    found: dict[str, Any] = {"policy_id": one.policy_id, "hits": one.hits}
    if one.misses:
        found["misses"] = one.misses
    if one.errors:
        found["errors"] = list(one.errors)
    return found
