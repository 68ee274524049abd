"""The promises of otel_logging.private_files."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import textwrap

import pytest

from otel_logging import private_files
from otel_logging.private_files import NotPrivate, open_folder

OTHER = 12345  # a user that is neither root nor the one who runs the tests
needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="giving files away needs root")


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


def why(refusal):
    return refusal.value.strerror


@pytest.fixture
def store(tmp_path):
    return tmp_path / "state" / "store"


@pytest.fixture
def folder(store):
    with open_folder(store) as folder:
        yield folder


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


class TestMade:
    def test_modes_whatever_the_umask(self, store, umask):
        """Folders are made 0700, with their parents; files 0600."""
        with open_folder(store) as folder, folder.inner("logs") as logs:
            os.close(logs.create("made"))
            os.close(logs.open("opened", os.O_RDWR | os.O_CREAT))
            logs.replace("replaced", [b"x"])
        assert [mode(path) for path in (store.parent, store, store / "logs")] == [0o700] * 3
        assert {path.name: mode(path) for path in (store / "logs").iterdir()} == {
            "made": 0o600,
            "opened": 0o600,
            "replaced": 0o600,
        }

    def test_what_is_there_is_used_and_not_changed(self, store):
        """A folder that somebody made keeps its mode; its group may be allowed to write, as on a mounted volume."""
        store.mkdir(parents=True)
        store.chmod(0o775)
        open_folder(store).close()
        assert mode(store) == 0o775

    def test_missing_and_not_to_be_made(self, store, tmp_path):
        """Without `make`, nothing is made."""
        with pytest.raises(FileNotFoundError):
            open_folder(store, make=False)
        with open_folder(tmp_path) as folder, pytest.raises(FileNotFoundError):
            folder.inner("logs", make=False)
        assert list(tmp_path.iterdir()) == []

    def test_new_files_are_new(self, folder):
        """`create` never opens a file that is there."""
        os.close(folder.create("a"))
        with pytest.raises(FileExistsError):
            folder.create("a")

    def test_not_inherited(self, folder):
        """A command that the application starts gets none of the descriptors."""
        descriptor = folder.create("a")
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "../a"])
    def test_names_stay_in_the_folder(self, folder, name):
        """A name with a slash is a mistake of ours, and never leaves the folder."""
        for act in (folder.create, folder.open, folder.inner, folder.remove, folder.stat):
            with pytest.raises(ValueError, match="no file's name"):
                act(name)
        with pytest.raises(ValueError, match="no file's name"):
            folder.replace(name, [b""])

    def test_descriptors_are_given_back(self, store, tmp_path):
        """Refusals and uses leave no descriptor open."""
        (tmp_path / "open").mkdir()
        (tmp_path / "open").chmod(0o777)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            with open_folder(store) as folder, folder.inner("logs") as logs:
                logs.replace("a", [b"x"])
                logs.read("a", 10)
                os.close(logs.open("a", os.O_RDWR | os.O_CREAT))
                (store / "logs" / "a").chmod(0o666)
                with pytest.raises(NotPrivate):
                    logs.read("a", 10)
            with pytest.raises(NotPrivate):
                open_folder(tmp_path / "open")
        assert len(os.listdir("/proc/self/fd")) == before


class TestRefused:
    def test_links_to_folders(self, tmp_path, folder):
        """A link is not followed, neither as the store nor in it; what it points to stays as it is."""
        target = tmp_path / "target"
        target.mkdir()
        (tmp_path / "link").symlink_to(target)
        (folder.path / "logs").symlink_to(target)
        for act in (lambda: open_folder(tmp_path / "link"), lambda: folder.inner("logs")):
            with pytest.raises(NotPrivate) as refusal:
                act()
            assert "symbolic link" in why(refusal)
        assert list(target.iterdir()) == []

    def test_a_link_further_up_is_fine(self, tmp_path):
        """Only the last part must be no link: on macOS /tmp is one."""
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real")
        open_folder(tmp_path / "link" / "store").close()
        assert mode(tmp_path / "real" / "store") == 0o700

    @pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY | os.O_APPEND, os.O_RDWR | os.O_CREAT])
    @pytest.mark.parametrize("dangling", [False, True])
    def test_links_to_files(self, tmp_path, folder, flags, dangling):
        """A link is not followed for reading, appending or making; what it points to stays as it is."""
        victim = tmp_path / "victim"
        if not dangling:
            victim.write_text("precious")
        (folder.path / "file").symlink_to(victim)
        with pytest.raises(NotPrivate) as refusal:
            folder.open("file", flags)
        assert "symbolic link" in why(refusal)
        assert victim.exists() is not dangling
        with pytest.raises(FileExistsError):
            folder.create("file")

    def test_replacing_a_link_replaces_the_link(self, tmp_path, folder):
        """The file that a link points to is not written to."""
        victim = tmp_path / "victim"
        victim.write_text("precious")
        (folder.path / "file").symlink_to(victim)
        folder.replace("file", [b"mine"])
        assert victim.read_text() == "precious"
        assert folder.read("file", 10) == b"mine"
        (folder.path / "file").unlink()
        (folder.path / "file").symlink_to(victim)
        folder.remove("file")
        assert victim.read_text() == "precious"

    def test_a_swap_after_the_opening(self, tmp_path, folder):
        """Who renames a folder after it was opened does not lead us elsewhere: descriptors are used, not paths."""
        with folder.inner("logs") as logs:
            trap = tmp_path / "trap"
            trap.mkdir()
            (folder.path / "logs").rename(tmp_path / "moved")
            (folder.path / "logs").symlink_to(trap)
            logs.replace("a", [b"mine"])
            os.close(logs.create("b"))
            assert logs.names() == ["a", "b"]
            assert logs.read("a", 10) == b"mine"
        assert list(trap.iterdir()) == []

    @pytest.mark.parametrize("bits", [0o777, 0o1777, 0o702])
    def test_folders_that_everybody_may_write_to(self, store, bits):
        """Such a store is refused, and not repaired: it may be somebody's /tmp. The sentence says what to do."""
        store.mkdir(parents=True)
        store.chmod(bits)
        with pytest.raises(NotPrivate) as refusal:
            open_folder(store)
        assert f"may be written by others (mode {bits:04o})" in why(refusal)
        assert str(refusal.value).startswith(f"{store} may be")
        assert "name a new folder in it" in why(refusal)
        assert mode(store) == bits
        open_folder(store / "new").close()

    @pytest.mark.parametrize("bits", [0o770, 0o707])
    def test_inner_folders_that_others_may_write_to(self, folder, bits):
        """In the store nobody else may write, the group neither."""
        (folder.path / "logs").mkdir()
        (folder.path / "logs").chmod(bits)
        with pytest.raises(NotPrivate) as refusal:
            folder.inner("logs")
        assert f"may be written by others (mode {bits:04o})" in why(refusal)

    @pytest.mark.parametrize("bits", [0o660, 0o606, 0o666])
    def test_files_that_others_may_write_to(self, folder, bits):
        """A file that somebody else could have written is not read."""
        folder.replace("file", [b"x"])
        (folder.path / "file").chmod(bits)
        with pytest.raises(NotPrivate) as refusal:
            folder.read("file", 10)
        assert f"may be written by others (mode {bits:04o}); make it 0600" in why(refusal)

    def test_files_that_others_may_read(self, folder):
        """Reading what is public is fine."""
        folder.replace("file", [b"x"])
        (folder.path / "file").chmod(0o644)
        assert folder.read("file", 10) == b"x"

    def test_no_plain_files(self, folder):
        """A named pipe makes nobody wait; a folder is no file, a file no folder."""
        os.mkfifo(folder.path / "pipe")
        (folder.path / "folder").mkdir()
        folder.replace("file", [b"x"])
        with pytest.raises(NotPrivate) as refusal:
            folder.read("pipe", 10)
        assert "no plain file" in why(refusal)
        with pytest.raises(OSError):
            folder.open("pipe", os.O_WRONLY | os.O_APPEND)
        with pytest.raises(NotPrivate):
            folder.read("folder", 10)
        with pytest.raises(NotADirectoryError):
            folder.inner("file")

    def test_second_names(self, tmp_path, folder):
        """A file that is another one too is not appended to; it may be read, as backups make such names."""
        victim = tmp_path / "victim"
        victim.write_text("precious")
        victim.chmod(0o600)
        os.link(victim, folder.path / "file")
        with pytest.raises(NotPrivate) as refusal:
            folder.open("file", os.O_WRONLY | os.O_APPEND)
        assert "hard link" in why(refusal)
        assert folder.read("file", 20) == b"precious"

    @needs_root
    def test_what_belongs_to_others(self, tmp_path, folder):
        """A store, a folder in it and a file of another user are refused, by root too."""
        theirs = tmp_path / "theirs"
        theirs.mkdir()
        (folder.path / "logs").mkdir()
        folder.replace("file", [b"x"])
        for path in (theirs, folder.path / "logs", folder.path / "file"):
            os.chown(path, OTHER, OTHER)
        for act in (lambda: open_folder(theirs), lambda: folder.inner("logs"), lambda: folder.read("file", 9)):
            with pytest.raises(NotPrivate) as refusal:
                act()
            assert f"another user (uid {OTHER})" in why(refusal)

    @needs_root
    def test_an_ordinary_user_meets_others(self, tmp_path):
        """A user without rights of root refuses what a third one made, and accepts what root made."""
        code = """
            import os, sys
            from otel_logging.private_files import NotPrivate, open_folder
            os.setgroups([]); os.setgid(12345); os.setuid(12345)
            for name in ("roots", "thirds"):
                try:
                    with open_folder(f"{sys.argv[1]}/{name}") as folder:
                        print(name, folder.read("file", 10).decode())
                except NotPrivate as refusal:
                    print(name, refusal.strerror)
        """
        tmp_path.chmod(0o755)
        for name, owner in (("roots", 0), ("thirds", 54321)):
            (tmp_path / name).mkdir()
            (tmp_path / name / "file").write_text("hello")
            (tmp_path / name).chmod(0o755)
            os.chown(tmp_path / name, owner, owner)
        parents = [path for path in tmp_path.parents if not path.stat().st_mode & 0o001]
        for path in parents:
            path.chmod(path.stat().st_mode | 0o001)
        try:
            done = subprocess.run(
                [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, check=True
            )
        finally:
            for path in parents:
                path.chmod(path.stat().st_mode & ~0o001)
        assert done.stdout == "roots hello\nthirds belongs to another user (uid 54321); name one of your own\n"


class TestForOwner:
    @needs_root
    def test_root_works_for_the_owner(self, store):
        """What root makes on behalf of a service is the service user's; a third user's is refused all the same."""
        store.mkdir(parents=True)
        os.chown(store, OTHER, OTHER)
        with open_folder(store, for_owner=True) as folder:
            folder.replace("file", [b"x"])
            os.close(folder.open("lock", os.O_RDWR | os.O_CREAT))
            with folder.inner("logs") as logs:
                os.close(logs.create("log"))
            assert folder.read("file", 10) == b"x"
            os.chown(store / "lock", OTHER + 1, OTHER)
            with pytest.raises(NotPrivate):
                folder.open("lock", os.O_RDWR | os.O_CREAT)
        assert {path.lstat().st_uid for path in (store / "file", store / "logs", store / "logs" / "log")} == {OTHER}


class TestReplace:
    def test_a_failure_changes_nothing(self, folder):
        """The old content stays, and no half file."""
        folder.replace("file", [b"old"])

        def broken():
            yield b"new"
            raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.raises(OSError, match="No space"):
            folder.replace("file", broken(), sync=True)
        assert folder.names() == ["file"]
        assert folder.read("file", 10) == b"old"

    def test_long_names(self, folder):
        """A name of the longest length that the file system takes can be replaced."""
        folder.replace("x" * 255, [b"x"])
        assert folder.names() == ["x" * 255]

    def test_removing_nothing(self, folder):
        """Removing what is not there is no mistake."""
        folder.remove("nothing")


class TestWindows:
    def test_without_descriptors_of_folders(self, store, tmp_path, monkeypatch):
        """Where folders have no descriptors and files no owners, all works by path, and links are still refused."""
        for name, value in (("_BY_DESCRIPTOR", False), ("_HAS_OWNERS", False), ("_NOFOLLOW", 0)):
            monkeypatch.setattr(private_files, name, value)
        monkeypatch.setattr(private_files, "_FILE_FLAGS", 0)
        with open_folder(store) as folder, folder.inner("logs") as logs:
            logs.replace("file", [b"x"])
            os.close(logs.create("made"))
            assert logs.names() == ["file", "made"]
            assert logs.read("file", 10) == b"x"
            logs.remove("made")
            (store / "logs" / "link").symlink_to(tmp_path)
            with pytest.raises(NotPrivate):
                logs.open("link")
            with pytest.raises(NotPrivate):
                logs.inner("link")
            with pytest.raises(NotADirectoryError):
                logs.inner("file", make=False)
