"""A real process and a store that is not its own: nothing is written there, one line says why, the application goes on."""

from __future__ import annotations

import os
import sys

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")


@pytest.fixture
def plain(launch, apps, tmp_path):
    """Run the plain application with its store at a path; what otel-logging said of it."""

    def run(store):
        process = launch([sys.executable, apps / "boot_plain.py"], "run", {"OTEL_LOGGING_STORE": str(store)})
        assert process.wait() == 0, process.describe()
        assert process.out.count(" record;") == 2, process.describe()
        return [line for line in process.err.splitlines() if line.startswith("otel-logging: ")]

    return run


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("link", "is a symbolic link; name what it points to"),
        ("open", "may be written by others (mode 0777); take that right away (chmod go-w), or name a new folder in it"),
        ("sticky", "may be written by others (mode 1777); name a new folder in it"),
        pytest.param("theirs", "belongs to another user (uid 12345); name one of your own", marks=needs_root),
    ],
)
def test_refused(plain, tmp_path, wrong, reason):
    """A store that is a link, open to everybody or another user's is refused with one line, and stays as it was."""
    target, store = tmp_path / "target", tmp_path / "store"
    target.mkdir()
    if wrong == "link":
        store.symlink_to(target)
    else:
        store.mkdir()
        store.chmod({"open": 0o777, "sticky": 0o1777, "theirs": 0o755}[wrong])
        if wrong == "theirs":
            os.chown(store, 12_345, 12_345)
    (line,) = plain(store)
    assert f"the local store is not written: {store} {reason}; 3 records were lost" in line
    assert [*target.iterdir(), *store.iterdir()] == []


@needs_root
def test_another_user_s_control_file(plain, tmp_path):
    """A control file of another user is not obeyed, and one line says whose it is."""
    store = tmp_path / "store"
    store.mkdir(mode=0o700)
    (store / "control.json").write_text('{"version": 1}')
    os.chown(store / "control.json", 12_345, 12_345)
    (line,) = plain(store)
    assert f"{store}/control.json belongs to another user (uid 12345)" in line


def test_private_whatever_the_umask(plain, tmp_path):
    """What a process with an open umask makes is for its user alone."""
    before = os.umask(0)
    try:
        assert plain(tmp_path / "deep" / "store") == []
    finally:
        os.umask(before)
    made = sorted(path for path in (tmp_path / "deep").rglob("*") if path.is_dir() or path.suffix == ".jsonl")
    assert len(made) >= 3
    assert {oct(path.stat().st_mode & 0o777) for path in made} == {"0o700", "0o600"}
