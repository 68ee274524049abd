"""Where things are on this machine if nobody says otherwise. Light: commands ask it before anything else."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def default_store(environ: Mapping[str, str]) -> Path | None:
    """The user's state folder for otel-logging, or None where the process has no home."""
    if sys.platform == "win32":
        base = environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        base = os.path.join(environ["HOME"], "Library", "Application Support") if environ.get("HOME") else None  # noqa: PTH118
    else:
        base = environ.get("XDG_STATE_HOME") or (environ.get("HOME") and environ["HOME"] + "/.local/state") or None
    return Path(base) / "otel-logging" if base else None
