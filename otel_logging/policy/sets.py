"""Which policies are in force: those that were asked for, and the bundled redactions of a privacy mode.

Reading is `load`'s business. A policy of the user's own replaces a bundled redaction of the same id: that is how one is
changed or switched off.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Final

from otel_logging.policy.engine import PolicySet
from otel_logging.policy.load import load
from otel_logging.policy.model import PRIVACY_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_logging.policy.load import Loaded
    from otel_logging.policy.model import Policy

BUNDLED: Final = "privacy"
_MODES: Final = {
    "off": ("always",),
    "secrets": ("always", "secrets"),
    "strict": ("always", "secrets", "strict"),
    "none": (),  # no process has it: for rendering one's own policies alone
}


@functools.lru_cache(maxsize=len(_MODES))
def privacy(mode: str) -> tuple[Policy, ...]:
    """The bundled redactions that are in force in `mode`: `off`, `secrets`, `strict`; or `none`."""
    wanted = _MODES[mode]
    return tuple(policy for policy in load([BUNDLED]).policies if policy.labels.get(PRIVACY_LABEL) in wanted)


def asked_for(sources: Sequence[str], mode: str) -> tuple[list[Policy], Loaded]:
    """All policies that the sources and the privacy mode bring, broken and disabled ones too, and what was loaded.

    Args:
        sources: as for `load`. The bundled redactions need not be named: `mode` brings them.
        mode: of OTEL_LOGGING_PRIVACY, or `none`.
    """
    loaded = load([source for source in sources if source != BUNDLED])
    own = {policy.id for policy in loaded.policies if not policy.errors}
    return [*loaded.policies, *(policy for policy in privacy(mode) if policy.id not in own)], loaded


def in_force(
    sources: Sequence[str],
    mode: str,
    *,
    frame_policies: bool = True,
    clock: Callable[[], float] = time.monotonic,
    pseudonym_key: bytes | None = None,
) -> tuple[PolicySet, list[str]]:
    """The compiled set, and the sentences about what is wrong in the sources. Never raises for what it finds.

    Args:
        sources: as for `asked_for`.
        mode: as for `asked_for`.
        frame_policies: as for `PolicySet`.
        clock: as for `PolicySet`.
        pseudonym_key: as for `PolicySet`.
    """
    chosen, loaded = asked_for(sources, mode)
    policies = PolicySet(chosen, frame_policies=frame_policies, clock=clock, pseudonym_key=pseudonym_key)
    return policies, loaded.errors
