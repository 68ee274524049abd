"""The books as `stats()` shows them: the ledger, and beside the balance what the policies and the spool have to say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_logging.bridge.ledger import ledger
from otel_logging.export import spools

if TYPE_CHECKING:
    from otel_logging.bridge.pipeline import Pipeline


def read(pipeline: Pipeline | None) -> dict[str, Any]:
    """What `otel_logging.stats()` gives."""
    books = ledger.snapshot()
    books["policies"] = {}
    books["spool"] = spools.figures()
    if pipeline is not None:
        policies = pipeline.policies
        books["policies"] = {
            one.policy_id: {"hits": one.hits, "misses": one.misses, "errors": list(one.errors)}
            for one in policies.stats()
        }
        if policies.evicted:
            books["evicted"]["rate_windows"] = policies.evicted
    return books


def unsafe() -> int:
    """Records that would be lost if the process ended now: held, and not on disk."""
    return int(ledger.snapshot()["held"]) - spools.held()
