"""Why records are dropped: the closed set of reasons in the ledger, with one sentence for each.

Docs, metrics and tests read it. A reason that is not in here must not be counted; nothing in here decides anything.
Modules below `bridge` name their reasons by the same words.
"""

from __future__ import annotations

from typing import Final

REPEAT_GUARD: Final = "repeat_guard"
STORM_GUARD: Final = "storm_guard"
RECURSION: Final = "recursion"
INTERNAL: Final = "internal"
INTERNAL_ERROR: Final = "internal_error"
NO_DESTINATION: Final = "no_destination"

REASONS: Final[dict[str, str]] = {
    REPEAT_GUARD: "The same place in the code logged at frame rate within one call; the first lines of it were kept.",
    STORM_GUARD: "The same error at the same place within one call; the first ones, and then one in 10 s, were kept.",
    "limited:every": "every() said no.",
    "limited:every_n": "every_n() said no.",
    "limited:once_per_call": "once_per_call() said no.",
    RECURSION: "It was made while other records were being made by it, too many deep.",
    INTERNAL: "It was made by an exporter, by the console's stream or by a processor, while that worked on a record.",
    INTERNAL_ERROR: "Something of ours failed on it; a line on stderr says what.",
    NO_DESTINATION: "There was neither a console that prints it nor an exporter.",
    "held_delivery_failed": "It waited for its call's name, and could not be handed on after that.",
    "queue_full": "The queue to the exporter was full: what came in was more than went out.",
    "poison": "The exporter fails on this one record, and was spared it so that the others arrive.",
    "export_failed": "The exporter could not deliver it.",
    "rejected": "The endpoint took others and refused this one: by a 400, or in its answer to a batch.",
    "too_large": "The endpoint refused it as too large (413) when it was alone in its request.",
    "spool_full": "The spool on disk had reached its size, and what was oldest in it went.",
    "spool_expired": "It had been in the spool on disk for too long (72 hours).",
    "spool_damaged": "It was in the spool on disk, and could not be read back.",
    "shutdown": "It came after the end, or the time for the end was over before it was delivered.",
}
"""Reasons that stand for themselves, and what each says about a record."""

FAMILIES: Final[dict[str, str]] = {
    "policy:": "A policy with `keep: none` matched it.",
    "sampled:": "A policy that keeps a share of its records did not choose it.",
    "rate_limited:": "A policy that keeps so many records in so much time had kept them.",
}
"""Beginnings of reasons that go on with the id of a policy."""


def known(reason: str) -> bool:
    """Whether `reason` is in the set."""
    return reason in REASONS or (reason.partition(":")[0] + ":" in FAMILIES and not reason.endswith(":"))


def policy_of(reason: str) -> str | None:
    """The id of the policy that a reason names, None where it names none."""
    head, colon, policy = reason.partition(":")
    return policy if head + colon in FAMILIES else None
