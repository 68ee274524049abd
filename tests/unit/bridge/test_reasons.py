"""The closed set of reasons: all that the code uses is in it, and the documentation has all of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import otel_logging
from otel_logging.bridge import reasons

ROOT = Path(otel_logging.__file__).parent
DOCS = ROOT.parent / "docs"
COUNTING = {"dropped", "refused", "_settle"}  # what counts a record under a reason


def used():
    """Every reason that the code counts under, as a text: what an f-string fills in is left out."""
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", None) in COUNTING:
                for argument in node.args:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        yield path.name, argument.value
                    elif isinstance(argument, ast.JoinedStr):
                        yield path.name, "".join(str(getattr(part, "value", "")) for part in argument.values[:1])


def test_all_that_are_used_are_known():
    """No part of the code counts under a reason that is not in the set."""
    found = sorted(set(used()))
    assert len(found) > 8
    unknown = [
        (where, reason)
        for where, reason in found
        if not reasons.known(reason)
        and not any(known.startswith(reason) for known in (*reasons.REASONS, *reasons.FAMILIES))
    ]
    assert unknown == []


@pytest.mark.parametrize("reason", [*reasons.REASONS, *reasons.FAMILIES])
def test_documented(reason):
    """The specification and the page about missing lines name every reason."""
    for page in ("reference/ledger.md", "why-is-my-log-missing.md"):
        assert f"`{reason}" in (DOCS / page).read_text(encoding="utf-8")


def test_known():
    """Families need an id, and nothing else is known."""
    assert reasons.known("policy:audio-frames")
    assert reasons.known("limited:every")
    assert not reasons.known("policy:")
    assert not reasons.known("limited:mine")
    assert not reasons.known("elsewhere")


def test_policy_of():
    """A reason names its policy where it has one."""
    assert reasons.policy_of("rate_limited:a:b") == "a:b"
    assert reasons.policy_of("limited:every") is None
    assert reasons.policy_of("repeat_guard") is None
