"""Where things are on this machine if nobody says otherwise. Light: commands ask it before anything else."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def default_store(environ: Mapping[str, str]) -> Path | None:
    """The user's state folder for otel-logging, or None where the process has no home."""
    from pathlib import Path

    place = default_place(environ)
    return Path(place) if place else None


def default_place(environ: Mapping[str, str]) -> str | None:
    """As `default_store`, as text: importing pathlib takes as long as half a look-up."""
    if sys.platform == "win32":
        base = environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        base = os.path.join(environ["HOME"], "Library", "Application Support") if environ.get("HOME") else None
    else:
        base = environ.get("XDG_STATE_HOME") or (environ.get("HOME") and environ["HOME"] + "/.local/state") or None
    return plain_path(os.path.join(base, "otel-logging")) if base else None


def plain_path(path: str | os.PathLike[str]) -> str:
    """A path as pathlib would write it: without `.`, doubled slashes and a slash at its end.

    A slash behind a name makes the system follow a link there, whatever it is told.
    """
    if os.sep != "/" or not isinstance(path, str):
        from pathlib import Path

        return str(Path(path))
    if path.startswith("//") and not path.startswith("///"):
        return "//" + plain_path(path[1:])[1:]
    parts = "/".join([part for part in path.split("/") if part not in {"", "."}])
    return "/" + parts if path.startswith("/") else parts or "."
