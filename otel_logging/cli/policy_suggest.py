"""`otel-logging policy suggest`: rules for what calls log most often, to be read, pasted and put in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_logging.cli import DONE, NOTHING, common

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from otel_logging.policy.engine import PolicySet
    from otel_logging.policy.suggest import Shapes
    from otel_logging.search.record import Record


def main(argv: list[str]) -> int:
    """Print a policy file with proposals; 1 if there is nothing to propose or to read."""
    parser = common.parser("policy suggest", "Propose policies for the lines that calls repeat most, as YAML to paste.")
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help="a log (OTLP/JSON or console lines; - is stdin); default: the store"
    )
    parser.add_argument("--since", metavar="TIME", type=common.moment, help="records from then on: 2h, 10:30, …")
    parser.add_argument(
        "--least", metavar="N", type=common.count, default=20, help="a call's lines of one shape (default 20)"
    )
    parser.add_argument("--top", metavar="N", type=common.count, default=10, help="how many rules (default 10)")
    parser.add_argument("--policies", metavar="LIST", help="as OTEL_LOGGING_POLICIES: what these drop is not counted")
    parser.add_argument("--json", action="store_true", help="one JSON object a rule")
    args = parser.parse_args(argv)
    from otel_logging.policy.suggest import Shapes, yaml_text

    shapes = Shapes()
    try:
        _count(shapes, _records(args), _policies(args), args.since or 0)
    except OSError as error:
        common.tell(f"{args.file}: cannot be read ({error.strerror or error})")
        return NOTHING
    found = shapes.suggestions(least=max(args.least, 1), top=args.top)
    if args.json:
        common.print_json(one.as_json() for one in found)
    elif found:
        common.print_lines(yaml_text(found, shapes.lines).splitlines())
    what = common.plural(len(found), "rule") if found else "no rule"
    common.tell(f"{what} for {common.plural(shapes.lines, 'line')}; at least {args.least} of one shape in a call")
    return DONE if found else NOTHING


def _records(args: argparse.Namespace) -> Iterable[Record]:
    if args.file is not None:
        from otel_logging.cli.log_file import records

        return records(args.file)
    from otel_logging.search.local import scan

    return scan(common.store_of(args))


def _policies(args: argparse.Namespace) -> PolicySet:
    from otel_logging import settings
    from otel_logging.policy.sets import in_force

    policies, errors = in_force(settings.read({"policies": args.policies}).policies, "none")
    for sentence in errors:
        common.tell(sentence)
    return policies


def _count(shapes: Shapes, records: Iterable[Record], policies: PolicySet, since: int) -> None:
    from otel_logging.policy.view import LogView

    for record in records:
        # What an override let through or gave back is not what a call logs.
        if record.time < since or record.recovered or "otel_logging.trigger" in record.attributes:
            continue
        text = {"WARNING": "WARN", "CRITICAL": "FATAL"}.get(record.severity_text, record.severity_text)
        view = LogView(
            record.body, record.severity, text, attributes=record.attributes, scope_name=record.logger,
            resource_attributes=record.resource, trace_id=record.trace_id, span_id=record.span_id,
        )  # fmt: skip
        if not any(one.drops_all or one.limit is not None for one in policies.match(view)):
            shapes.add(record.body, record.severity, text, record.call_sid)
