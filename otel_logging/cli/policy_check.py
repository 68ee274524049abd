"""`otel-logging policy check FILES…`: what is wrong with policy files, before a service finds out."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from otel_logging.cli import DONE, NOTHING, common

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_logging.policy.model import Policy


def main(argv: list[str]) -> int:
    """Print every error of every file; 1 if there is one."""
    parser = argparse.ArgumentParser(
        prog="otel-logging policy check",
        description="Read policy files as a service would, and name what is wrong: file, policy, place.",
        allow_abbrev=False,
        epilog="Exit codes: 0 all are good, 1 errors, 2 usage.",
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="YAML or JSON; or the name of a bundled set: voice")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    args = parser.parse_args(argv)
    from otel_logging.policy.engine import PolicySet
    from otel_logging.policy.load import load

    # Together, as OTEL_LOGGING_POLICIES names them: an id used in two files is an error too.
    loaded = load(args.files)
    errors = list(loaded.errors)
    for one in PolicySet(policy for policy in loaded.policies if not policy.errors).stats():
        errors += (f"policy {one.policy_id!r}: {error}" for error in one.errors)
    notes = list(_notes(loaded.policies))
    good = sum(not policy.errors for policy in loaded.policies)
    if args.json:
        common.print_json([{"policies": good, "errors": errors, "notes": notes}])
    else:
        common.print_lines([*errors, *(f"note: {note}" for note in notes)])
    said = common.plural(len(errors), "error") if errors else "no errors"
    number = "1 policy" if good == 1 else f"{good:,} policies"
    common.tell(f"{number} in {common.plural(len(args.files), 'file')}, {said}")
    return NOTHING if errors else DONE


def _notes(policies: Iterable[Policy]) -> Iterator[str]:
    """What is right and yet may surprise."""
    from otel_logging.policy.extensions import SUPPORTED
    from otel_logging.policy.model import OWN_FIELDS

    for policy in policies:
        if policy.errors:
            continue
        where = f"{policy.source}: policy {policy.id!r}"
        if policy.signal != "log":
            yield f"{where}: is for {policy.signal}s; only log policies are carried out here"
        elif not policy.enabled:
            yield f"{where}: is disabled"
        for extension in policy.extensions:
            if extension.type not in SUPPORTED:
                yield f"{where}: extension {extension.type!r} is not supported and skipped"
        own = sorted({matcher.field.kind for matcher in policy.match if matcher.field.kind in OWN_FIELDS})
        if own:
            yield f"{where}: other implementations do not know the field {', '.join(own)}"
        if policy.keep.kind == "all" and not policy.transform and not policy.extensions and policy.signal == "log":
            yield f"{where}: keeps all and changes nothing"
