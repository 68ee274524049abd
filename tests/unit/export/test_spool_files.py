"""The promises of otel_logging.export.spool_files."""

from __future__ import annotations

import os
import signal

import pytest

from otel_logging.export import spool_files
from otel_logging.export.spool_files import START, Clock, SpoolFile


@pytest.fixture
def folder(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def made(folder):
    """Makes files, and closes them."""
    files = []

    def make(service="calls", clock=None):
        files.append(SpoolFile.create(folder, service, clock or Clock()))
        return files[-1]

    yield make
    for file in files:
        file.close()


def frames(file):
    found, offset = [], file.cursor[0]
    while (frame := file.frame_at(offset)) is not None:
        found.append((frame.payload, frame.records))
        offset = frame.end
    return found


def again(folder, file):
    """The file as the next process finds it."""
    name = file.name
    file.close()
    taken = SpoolFile.take_over(folder, name, Clock())
    assert taken is not None
    return taken


class TestContent:
    def test_what_was_appended_is_read(self, made):
        """Frames are read back as they were appended, with their number of records."""
        file = made()
        for n in range(5):
            file.append(b"x" * n * 1000, n)
        assert frames(file) == [(b"x" * n * 1000, n) for n in range(5)]
        assert file.pending == 10

    def test_the_next_owner_goes_on_where_the_last_one_was(self, made, folder):
        """The cursor is in the file: what is done with is not read again."""
        file = made()
        ends = [file.append(b"%d" % n, 3)[1] for n in range(3)]
        file.moved(ends[0], 2)
        taken = again(folder, file)
        assert taken.cursor == (ends[0], 2)
        assert frames(taken) == [(b"1", 3), (b"2", 3)]
        taken.close()

    def test_private(self, made, tmp_path):
        """Files have mode 0600, and names that any file system takes."""
        file = made("call/s: ä")
        path = tmp_path / file.name
        assert path.stat().st_mode & 0o777 == 0o600
        assert file.name.startswith(f"call_s-{os.getpid()}-")

    def test_a_signal_handler_may_append_in_between(self, made, monkeypatch):
        """A frame that is appended in the midst of another append stands behind it, whole."""
        file = made()
        real = os.pwrite

        def interrupted(fd, data, offset):
            monkeypatch.setattr(os, "pwrite", real)
            signal.raise_signal(signal.SIGUSR1)
            return real(fd, data, offset)

        before = signal.signal(signal.SIGUSR1, lambda *_: file.append(b"inner", 1))
        try:
            monkeypatch.setattr(os, "pwrite", interrupted)
            file.append(b"outer", 1)
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert frames(file) == [(b"outer", 1), (b"inner", 1)]
        assert not file.busy

    def test_text_cannot_pass_for_a_frame(self, made, folder):
        """A payload that holds frames of another file does not become a frame when the one around it is damaged."""
        forged = made()
        start, end = forged.append(b"forged", 1)
        fake = os.pread(forged.fd, end - start, start)
        file = made()
        start, _ = file.append(b"x" * 9 + fake, 1)
        file.append(b"intact", 1)
        os.pwrite(file.fd, b"\xff", start + 8)  # its length
        assert frames(file) == [(b"intact", 1)]


class TestDamage:
    def test_torn_tail(self, made, folder):
        """A file that was cut anywhere gives the frames before the cut."""
        file = made()
        ends = [START, *(file.append(b"%d" % n * 50, 1)[1] for n in range(4))]
        for size in range(ends[-1], START - 1, -1):
            os.truncate(file.fd, size)
            file.end = file.committed = size
            assert len(frames(file)) == sum(end <= size for end in ends[1:])

    def test_any_byte(self, made):
        """A damaged byte costs the frame it is in, and no other."""
        file = made()
        places = [file.append(bytes([n]) * 40, 1) for n in range(3)]
        for offset in range(START, places[-1][1]):
            good = os.pread(file.fd, 1, offset)
            os.pwrite(file.fd, bytes([good[0] ^ 0x10]), offset)
            intact = [(bytes([n]) * 40, 1) for n, (start, end) in enumerate(places) if not start <= offset < end]
            assert frames(file) == intact, offset
            os.pwrite(file.fd, good, offset)

    def test_any_byte_of_the_header(self, made, folder):
        """Damage in the header loses nothing, and delivers nothing twice."""
        file = made()
        _, end = file.append(b"done", 1)
        file.append(b"not done", 1)
        file.moved(end, 0)
        for offset in range(START):
            good = os.pread(file.fd, 1, offset)
            os.pwrite(file.fd, bytes([good[0] ^ 0x10]), offset)
            file = again(folder, file)
            assert frames(file) == [(b"not done", 1)], offset
            os.pwrite(file.fd, good, offset)
        file.close()

    def test_full_disk(self, made, monkeypatch):
        """What could be written in part only is taken back, and the next frame stands in its place."""
        file = made()
        file.append(b"first", 1)
        real = os.pwrite
        monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real(fd, data[: len(data) // 2], offset))
        with pytest.raises(OSError, match="No space"):
            file.append(b"second", 1)
        monkeypatch.setattr(os, "pwrite", real)
        file.append(b"third", 1)
        assert frames(file) == [(b"first", 1), (b"third", 1)]
        assert file.pending == 2

    def test_bad_sector(self, made, monkeypatch):
        """What the disk cannot read is damaged, and no error."""
        file = made()
        file.append(b"first", 1)

        def fail(*_):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "pread", fail)
        assert frames(file) == []

    def test_removed(self, made, tmp_path):
        """A file that somebody removed takes nothing more, but can still be read."""
        file = made()
        file.append(b"first", 1)
        (tmp_path / file.name).unlink()
        with pytest.raises(FileNotFoundError):
            file.append(b"second", 1)
        assert frames(file) == [(b"first", 1)]

    def test_foreign_descriptor(self, made, tmp_path):
        """Where all descriptors were closed, the file that has ours now is neither written nor closed."""
        file = made()
        file.append(b"first", 1)
        os.close(file.fd)
        other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
        assert other == file.fd
        with pytest.raises(FileNotFoundError):
            file.append(b"second", 1)
        file.moved(START + 5, 0)
        file.close(delete=True)
        assert os.fstat(other).st_size == 0
        os.close(other)


class TestOwnership:
    def test_owned(self, made, folder):
        """A file that has an owner is not taken over, one that has none is taken over by one."""
        file = made()
        file.append(b"x", 1)
        assert SpoolFile.take_over(folder, file.name, Clock()) is None
        taken = again(folder, file)
        assert SpoolFile.take_over(folder, file.name, Clock()) is None
        taken.close(delete=True)
        assert SpoolFile.take_over(folder, file.name, Clock()) is None

    def test_a_child_does_not_own(self, made, folder):
        """A forked child that lets go of its copy leaves the lock with the parent; the parent's death ends it."""
        file = made()
        pid = os.fork()
        if pid == 0:
            file.close()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        assert SpoolFile.take_over(folder, file.name, Clock()) is None

    def test_finished_in_between(self, made, folder, monkeypatch):
        """A file that its owner removes between our opening and our lock is not taken over."""
        file = made()
        real = spool_files._lock

        def late(fd):
            file.close(delete=True)
            real(fd)

        monkeypatch.setattr(spool_files, "_lock", late)
        assert SpoolFile.take_over(folder, file.name, Clock()) is None

    @pytest.mark.parametrize("kind", ["link", "fifo", "folder", "name"])
    def test_what_is_no_spool_file(self, folder, tmp_path, kind):
        """Links are not followed, and what is no regular file of a proper name is left alone."""
        name = "calls-1-1-1-00112233aabbccdd.spool"
        if kind == "link":
            (tmp_path / "target").write_bytes(b"precious")
            (tmp_path / name).symlink_to(tmp_path / "target")
        elif kind == "fifo":
            os.mkfifo(tmp_path / name)
        elif kind == "folder":
            (tmp_path / name).mkdir()
        else:
            name = "notes.spool"
            (tmp_path / name).write_bytes(b"precious")
        assert SpoolFile.take_over(folder, name, Clock()) is None

    def test_no_locks(self, folder, tmp_path, monkeypatch):
        """A file system without locks is an OSError, and leaves nothing behind."""

        def refuse(_fd):
            raise OSError(37, "No locks available")

        monkeypatch.setattr(spool_files, "_lock", refuse)
        with pytest.raises(OSError, match="No locks"):
            SpoolFile.create(folder, "calls", Clock())
        assert list(tmp_path.iterdir()) == []


class TestAge:
    def test_wall_clock_jumps(self, made):
        """Within one start of the machine, a jump of the wall clock makes no file old."""
        now = {"wall": 1e9, "steady": 100.0}
        clock = Clock(lambda: now["wall"], lambda: now["steady"], b"same-bt.")
        file = made(clock=clock)
        now["wall"] += 1e9
        now["steady"] += 5
        assert file.age(clock) == 5
        now["wall"] = 0
        assert file.age(clock) == 5

    def test_after_a_restart(self, made, folder):
        """After a restart of the machine the wall clock has to do; a file from the future is new."""
        file = made(clock=Clock(lambda: 1000.0, lambda: 9e9, b"boot-one"))
        later = Clock(lambda: 1600.0, lambda: 3.0, b"boot-two")
        file = again(folder, file)
        assert file.age(later) == 600
        assert file.age(Clock(lambda: 10.0, lambda: 3.0, b"boot-two")) == 0
        file.close()

    def test_damaged(self, made, folder):
        """Where the header is damaged, the file is as old as the time since it was taken over."""
        file = made(clock=Clock(lambda: 5.0, lambda: 5.0, b"long-ago"))
        os.pwrite(file.fd, b"XX", 10)
        file = again(folder, file)
        assert file.age(Clock()) < 100
        file.close()

    def test_real_clocks(self):
        """The real clocks go forward."""
        clock = Clock()
        assert clock.wall() > 1e9
        assert clock.steady() <= clock.steady()
        assert len(clock.boot) == 8
