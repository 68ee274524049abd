"""The promises of otel_logging.export.jsonl_file."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import sys
import textwrap
import threading
from datetime import datetime, timezone

import pytest

from otel_logging.export import jsonl_file
from otel_logging.export.jsonl_file import JsonlFile, file_name
from otel_logging.private_files import NotPrivate

START = datetime(2024, 1, 21, 19, 30, 26, 123456, tzinfo=timezone.utc)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store" / "logs"


@pytest.fixture
def file(folder):
    file = JsonlFile(folder, "calls")
    yield file
    file.close()


def files(folder):
    return sorted(folder.iterdir())


class TestNames:
    def test_name(self):
        """A name tells service, process and start."""
        assert file_name("prosaas-calls", 17, START) == "prosaas_calls-17-20240121T193026123456Z.jsonl"

    @pytest.mark.parametrize(
        "service", ["../../etc/passwd", "a/b\\c:d*?\0", "..", "", "שירות", "x" * 500, "\ud800", "a b\n"]
    )
    def test_any_service_name(self, service, folder):
        """Any service name makes a file inside the folder."""
        name = file_name(service, 17, START)
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._]{0,99}-17-\d{8}T\d{12}Z\.jsonl", name)
        file = JsonlFile(folder, service)
        file.append(b"x\n")
        file.close()
        assert len(files(folder)) == 1


class TestAppend:
    def test_opened_with_the_first_line(self, file, folder):
        """Nothing is made before there is something to write."""
        assert not folder.exists()
        file.append(b"one\n")
        file.append(b"two\n")
        (path,) = files(folder)
        assert path.read_bytes() == b"one\ntwo\n"
        assert path.name.startswith(f"calls-{os.getpid()}-")

    def test_private(self, file, folder):
        """Folders are for the owner alone, and so are files, whatever the umask."""
        before = os.umask(0)
        try:
            file.append(b"x\n")
        finally:
            os.umask(before)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(files(folder)[0].stat().st_mode) == 0o600

    def test_existing_folder_is_left_alone(self, file, folder):
        """The mode of a folder that was there is not touched: it may be somebody's /tmp."""
        folder.parent.mkdir(mode=0o755)
        folder.parent.chmod(0o755)
        file.append(b"x\n")
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o755

    def test_one_write(self, file, monkeypatch):
        """A line is one write by the operating system."""
        writes = []
        real = os.write
        monkeypatch.setattr(jsonl_file.os, "write", lambda fd, data: writes.append(bytes(data)) or real(fd, data))
        file.append(b"x" * 500_000 + b"\n")
        assert len(writes) == 1

    def test_short_writes(self, file, folder, monkeypatch):
        """A write that the system cut short is completed."""
        real = os.write
        monkeypatch.setattr(jsonl_file.os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
        file.append(b"one line\n")
        file.append(b"another\n")
        assert files(folder)[0].read_bytes() == b"one line\nanother\n"

    def test_disk_full_in_the_middle(self, file, folder, monkeypatch):
        """Half a line of a full disk is taken back, and the next line is whole."""
        file.append(b"one\n")
        real, state = os.write, []

        def full(fd, data):
            state.append(1)
            if len(state) == 1:
                return real(fd, bytes(data)[:2])
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(jsonl_file.os, "write", full)
        with pytest.raises(OSError, match="No space"):
            file.append(b"two\n")
        monkeypatch.setattr(jsonl_file.os, "write", real)
        file.append(b"three\n")
        assert files(folder)[0].read_bytes() == b"one\nthree\n"

    def test_half_line_that_stays(self, file, folder, monkeypatch):
        """Where half a line cannot be taken back, the next line goes to another file."""
        file.append(b"one\n")
        real, state = os.write, []

        def full(fd, data):
            state.append(1)
            if len(state) == 1:
                return real(fd, bytes(data)[:2])
            raise OSError(errno.EIO, "Input/output error")

        def no_truncate(fd, size):
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(jsonl_file.os, "write", full)
        monkeypatch.setattr(jsonl_file.os, "ftruncate", no_truncate)
        with pytest.raises(OSError, match="Input/output"):
            file.append(b"two\n")
        monkeypatch.setattr(jsonl_file.os, "write", real)
        file.append(b"three\n")
        assert [path.read_bytes() for path in files(folder)] == [b"one\ntw", b"three\n"]

    def test_rotation(self, folder):
        """A file that is large enough is left, never in the middle of a line; no line is lost."""
        file = JsonlFile(folder, "calls", max_bytes=10)
        for number in range(10):
            file.append(b"%06d\n" % number)
        file.close()
        assert [path.read_bytes() for path in files(folder)] == [b"%06d\n%06d\n" % (n, n + 1) for n in range(0, 10, 2)]

    def test_deleted_file(self, file, folder):
        """A file that somebody deleted is not written to any more, nor is a deleted folder missed."""
        file.append(b"one\n")
        files(folder)[0].unlink()
        file.append(b"two\n")
        assert files(folder)[0].read_bytes() == b"two\n"
        files(folder)[0].unlink()
        folder.rmdir()
        file.append(b"three\n")
        assert files(folder)[0].read_bytes() == b"three\n"

    @pytest.mark.parametrize("taken", [False, True])
    def test_descriptor_closed_by_somebody_else(self, file, folder, tmp_path, taken):
        """A descriptor that was closed under us, and now means another file, is never written to."""
        file.append(b"one\n")
        os.close(file._fd)
        stranger = None
        if taken:
            opened, stranger = os.open(tmp_path / "stranger", os.O_WRONLY | os.O_CREAT), file._fd
            os.dup2(opened, stranger)
            os.close(opened)
        file.append(b"two\n")
        assert [path.read_bytes() for path in files(folder)] == [b"one\n", b"two\n"]
        if stranger is not None:
            os.close(stranger)
            assert (tmp_path / "stranger").read_bytes() == b""

    def test_never_another_ones_file(self, folder, monkeypatch):
        """A name that is taken, by a file or a link, is not used."""

        class Stopped(datetime):
            @classmethod
            def now(cls, tz=None):
                return START

        monkeypatch.setattr(jsonl_file, "datetime", Stopped)
        folder.mkdir(parents=True)
        (folder / file_name("calls", os.getpid(), START)).write_bytes(b"theirs\n")
        made = [JsonlFile(folder, "calls") for _ in range(3)]
        for file in made:
            file.append(b"ours\n")
            file.close()
        assert [path.read_bytes() for path in files(folder)] == [b"theirs\n", b"ours\n", b"ours\n", b"ours\n"]

    def test_link_is_not_followed(self, folder, tmp_path, monkeypatch):
        """A symbolic link in the file's place does not lead us elsewhere."""

        class Stopped(datetime):
            @classmethod
            def now(cls, tz=None):
                return START

        monkeypatch.setattr(jsonl_file, "datetime", Stopped)
        folder.mkdir(parents=True)
        (folder / file_name("calls", os.getpid(), START)).symlink_to(tmp_path / "elsewhere")
        file = JsonlFile(folder, "calls")
        file.append(b"x\n")
        file.close()
        assert not (tmp_path / "elsewhere").exists()

    @pytest.mark.parametrize("blocked", ["file", "dangling"])
    def test_folder_that_is_none(self, folder, blocked):
        """A file or a dangling link where the folder should be is an OSError that says so."""
        folder.parent.mkdir()
        if blocked == "file":
            folder.write_text("")
        else:
            folder.symlink_to("nowhere")
        with pytest.raises((NotADirectoryError, NotPrivate), match=re.escape(str(folder))):
            JsonlFile(folder, "calls").append(b"x\n")

    def test_threads(self, folder):
        """Lines of many threads are all there, each whole, rotation included."""
        file = JsonlFile(folder, "calls", max_bytes=5_000)

        def write(number):
            for _ in range(100):
                file.append(b"%d" % number * 50 + b"\n")

        threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        file.close()
        lines = [line for path in files(folder) for line in path.read_bytes().splitlines()]
        assert sorted(lines) == sorted(b"%d" % n * 50 for n in range(6) for _ in range(100))

    def test_closed_and_used_again(self, file, folder):
        """After close() a line begins another file."""
        file.append(b"one\n")
        file.close()
        file.append(b"two\n")
        assert len(files(folder)) == 2


def test_fork(folder):
    """A child writes to a file of its own, also when forked while another thread was writing."""
    code = textwrap.dedent("""
        import os, sys, threading
        from pathlib import Path
        from otel_logging.export.jsonl_file import JsonlFile
        file = JsonlFile(Path(sys.argv[1]), "calls")
        file.append(b"parent\\n")
        file._lock.acquire()
        pid = os.fork()
        if pid == 0:
            file.append(b"child\\n")
            assert file.path.name.startswith(f"calls-{os.getpid()}-")
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        file._lock.release()
        file.append(b"parent again\\n")
    """)
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, timeout=60)
    assert sorted(path.read_bytes() for path in files(folder)) == [b"child\n", b"parent\nparent again\n"]
