"""`otel_logging/places.py`: paths as pathlib would write them, and where the store is."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_logging.places import default_store, plain_path


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "/",
        "//",
        "///",
        "a",
        "a/",
        "./a",
        "a/.",
        "a//b",
        "/a/",
        "/./a/../b",
        "//a/b/",
        "///a",
        "..",
        "a/./b/",
        " a ",
        Path("x/"),
    ],
)
def test_as_pathlib(path):
    """No slash at the end, which would make the system follow a link there; nothing doubled."""
    assert plain_path(path) == str(Path(path))


def test_default_store():
    """The user's state folder, or none without a home."""
    assert default_store({"XDG_STATE_HOME": "/s/"}) == Path("/s/otel-logging")
    assert default_store({}) is None
