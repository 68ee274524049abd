"""The promises of otel_logging.export.spool and spools."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from export_kit import sdk_record

from otel_logging import trouble
from otel_logging.export import otlp_request, spools
from otel_logging.export.entry import entry_of
from otel_logging.export.spool import Spool, folder_of
from otel_logging.export.spool_files import Clock

BIG = 1 << 30


def request(*bodies):
    return otlp_request.encode([entry_of(sdk_record(body)).record for body in bodies])


def bodies_of(blob):
    request = otlp_request._request(blob)
    return [
        record.body.string_value
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


@pytest.fixture
def spool(tmp_path):
    """Makes spools of one destination, and lets go of them."""
    made = []

    def make(**more):
        lost = []
        made.append(
            Spool(tmp_path / "store" / "spool" / "there", "calls", lost=lambda *what: lost.append(what), **more)
        )
        made[-1].losses = lost
        return made[-1]

    yield make
    for one in made:
        one.release()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store" / "spool" / "there"


def take(spool, *, adopted=False, records=512):
    """Everything that is next, settled."""
    found = []
    while (parcel := spool.next(records, BIG, adopted=adopted)) is not None:
        found += bodies_of(parcel.blob)
        spool.settle(parcel, parcel.count)
    return found


class TestOrder:
    def test_first_in_first_out(self, spool):
        """Records come out in the order they came in, joined to requests of the size asked for."""
        one = spool()
        for n in range(10):
            one.append(request(f"{n}a", f"{n}b"), 2)
        assert one.held == 20
        parcel = one.next(5, BIG)
        assert bodies_of(parcel.blob) == ["0a", "0b", "1a", "1b"]
        one.settle(parcel, 3)
        assert one.held == 17
        assert take(one)[:3] == ["1b", "2a", "2b"]
        assert one.held == 0
        assert one.losses == []

    def test_bytes_are_bounded(self, spool):
        """A request is as large as asked for; one that is larger alone is still given."""
        one = spool()
        for n in range(3):
            one.append(request(f"{n}" * 1000), 1)
        assert one.next(512, 10).count == 1
        assert one.next(512, 2300).count == 2

    def test_several_files(self, spool, folder):
        """A new file is begun when one is large; finished ones are removed, and so is the last when it is done with."""
        one = spool(file_bytes=2000)
        for n in range(20):
            one.append(request(f"{n}" * 200), 1)
        assert len(list(folder.glob("*.spool"))) > 3
        assert [body[0] for body in take(one)] == [f"{n}"[0] for n in range(20)]
        assert list(folder.glob("*.spool")) == []

    def test_last_file_is_kept_for_more(self, spool, folder):
        """`retire` keeps the file that is appended to, when asked, until it has grown."""
        one = spool(file_bytes=4000)
        one.append(request("a"), 1)
        parcel = one.next(512, BIG)
        one.settle(parcel, 1)
        one.retire(keep_last=True)
        assert len(list(folder.glob("*.spool"))) == 1
        one.append(request("b" * 1500), 1)
        one.settle(one.next(512, BIG), 1)
        one.retire(keep_last=True)
        assert list(folder.glob("*.spool")) == []
        one.append(request("c"), 1)
        assert take(one) == ["c"]


class TestAdoption:
    def test_by_the_next_process(self, spool, folder):
        """What a process left is taken over by the next one, from where it was, and removed when done with."""
        one = spool()
        for n in range(3):
            one.append(request(f"{n}a", f"{n}b"), 2)
        one.settle(one.next(2, BIG), 1)
        one.release()
        two = spool()
        two.look_round()
        assert two.has_adopted
        assert two.held == 0
        assert take(two, adopted=True) == ["0b", "1a", "1b", "2a", "2b"]
        assert two.adopted == {"delivered": 5, "dropped": 0}
        assert list(folder.glob("*.spool")) == []

    def test_not_from_the_living(self, spool):
        """Files that have an owner stay where they are."""
        one, two = spool(), spool()
        one.append(request("mine"), 1)
        two.look_round()
        assert not two.has_adopted
        assert take(one) == ["mine"]

    def test_once(self, spool, folder):
        """Many that look at the same moment take each file over once."""
        for n in range(20):
            one = spool()
            one.append(request(f"{n}"), 1)
            one.release()
        seekers = [spool() for _ in range(6)]
        start = threading.Barrier(6)

        def seek(seeker):
            start.wait()
            seeker.look_round()

        threads = [threading.Thread(target=seek, args=(seeker,)) for seeker in seekers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = [body for seeker in seekers for body in take(seeker, adopted=True)]
        assert sorted(found, key=int) == [f"{n}" for n in range(20)]

    def test_given_back(self, spool):
        """A process that ends leaves what it had adopted to others, as far as it came."""
        one = spool()
        one.append(request("a", "b", "c"), 3)
        one.release()
        two = spool()
        two.look_round()
        two.settle(two.next(512, BIG, adopted=True), 1)
        two.close()
        three = spool()
        three.look_round()
        assert take(three, adopted=True) == ["b", "c"]

    def test_half_made_files(self, spool, folder):
        """A file that never got its name is nobody's, and is removed after an hour."""
        spool().append(request("x"), 1)
        part = folder / "calls-1-1-00112233aabbccdd.spool.part"
        part.write_bytes(b"")
        one = spool()
        one.look_round()
        assert part.exists()
        os.utime(part, (1, 1))
        one.look_round()
        assert not part.exists()


class TestDamage:
    def test_own_file(self, spool, folder):
        """Records of this process that cannot be read back are given up, and the others come."""
        one = spool()
        for n in range(5):
            file, start, _ = one.append(request(f"{n}"), 1)
            if n == 2:
                os.pwrite(file.fd, b"\xff\xff", start + 30)
        assert take(one) == ["0", "1", "3", "4"]
        assert one.losses == [("spool_damaged", 1)]
        assert one.held == 0

    def test_request_that_protobuf_cannot_read(self, spool):
        """What cannot be joined is given alone, and what cannot be cut is passed over."""
        one = spool()
        one.append(b"\xff\xff\xff", 2)
        one.append(request("good"), 1)
        parcel = one.next(512, BIG)
        assert (parcel.blob, parcel.count) == (b"\xff\xff\xff", 2)
        one.settle(parcel, 1)
        assert take(one) == ["good"]
        assert one.losses == [("spool_damaged", 1)]

    def test_folder_that_was_removed(self, spool, folder):
        """`rm -r` in mid-run costs nothing: open files can be read, and new ones are made."""
        one = spool()
        one.append(request("before"), 1)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        one.append(request("after"), 1)
        assert take(one) == ["before", "after"]


class TestBounds:
    def test_size(self, spool, folder):
        """The oldest records go when the destination's files are too large, this process's or not."""
        old = spool(file_bytes=2000)
        for n in range(10):
            old.append(request(f"old{n}" + "x" * 500), 1)
        old.release()
        one = spool(max_bytes=20_000, file_bytes=2000)
        for n in range(60):
            if one.full:
                one.look_round()
            one.append(request(f"{n}:" + "x" * 500), 1)
        assert sum(path.stat().st_size for path in folder.glob("*.spool")) < 23_000
        assert one.adopted["dropped"] == 10
        left = [int(body.partition(":")[0]) for body in take(one)]
        assert left == list(range(60 - len(left), 60))
        assert one.losses == [("spool_full", 3)] * ((60 - len(left)) // 3)
        assert trouble.counts()["spool_full"] >= 1

    def test_never_more_than_that(self, spool):
        """Where nobody makes room, there is an end to it."""
        one = spool(max_bytes=10_000, file_bytes=2000)
        with pytest.raises(OSError, match="size"):
            for _ in range(100):
                one.append(request("x" * 500), 1)
        assert one.held < 30

    def test_age(self, spool, folder):
        """Files that are too old are removed, this process's or not, and counted."""
        now = {"steady": 0.0}
        clock = Clock(lambda: 1e9 + now["steady"], lambda: now["steady"], b"this-bt.")
        old = spool(clock=clock)
        old.append(request("old", "older"), 2)
        old.release()
        one = spool(clock=clock, keep_seconds=10_000)
        one.append(request("mine"), 1)
        now["steady"] = 5000.0
        one.append(request("newer"), 1)
        now["steady"] = 10_500.0
        one.look_round()
        assert one.adopted == {"delivered": 0, "dropped": 2}
        assert one.losses == [("spool_expired", 1)]
        assert take(one) == ["newer"]

    def test_small_file_system(self, spool, tmp_path):
        """On a small disk the spool takes a tenth of it; when it is full, that is an OSError and no more."""
        store = tmp_path / "store"
        store.mkdir()
        if (
            os.geteuid() != 0
            or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=512k,mode=0700", "tmpfs", store], check=False
            ).returncode
        ):
            pytest.skip("cannot mount a small file system")
        try:
            one = spool()
            one.append(request("x"), 1)
            one.look_round()
            assert one._limit < 60_000
            filler = os.open(store / "filler", os.O_WRONLY | os.O_CREAT)
            with pytest.raises(OSError, match="No space"):
                while True:
                    os.write(filler, b"x" * 4096)
            os.close(filler)
            with pytest.raises(OSError, match="No space"):
                one.append(request("y" * 8192), 1)
            (store / "filler").unlink()
            one.append(request("z"), 1)
            assert take(one) == ["x", "z"]
        finally:
            one.release()
            subprocess.run(["umount", store], check=True)


class TestFolder:
    def test_private(self, spool, folder):
        """Folders are made with mode 0700; one that others may write to is not used."""
        spool().append(request("x"), 1)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.parent.stat().st_mode & 0o777 == 0o700
        folder.chmod(0o770)
        with pytest.raises(PermissionError, match="written by others"):
            spool().append(request("x"), 1)

    @pytest.mark.parametrize("depth", [0, 1])
    def test_links_are_not_followed(self, spool, folder, tmp_path, depth):
        """A link in the place of a folder is an error, and nothing is written behind it."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        link = [folder, folder.parent][depth]
        link.parent.mkdir(parents=True)
        link.symlink_to(elsewhere)
        with pytest.raises(OSError):
            spool().append(request("x"), 1)
        assert list(elsewhere.iterdir()) == []
        one = spool()
        one.look_round()
        assert trouble.counts()["spool"] == 1

    def test_of_somebody_else(self, spool, folder, monkeypatch):
        """A folder that belongs to somebody else is not used."""
        folder.mkdir(parents=True)
        real = os.fstat

        def foreign(fd):
            found = list(real(fd))
            found[4] = 54321  # its owner
            return os.stat_result(found)

        monkeypatch.setattr(os, "fstat", foreign)
        with pytest.raises(PermissionError, match="another user"):
            spool().append(request("x"), 1)

    def test_nothing_is_made_by_looking(self, spool, tmp_path):
        """Where nothing was spooled there is no folder."""
        spool().look_round()
        assert list(tmp_path.iterdir()) == []

    def test_cannot_be_made(self, tmp_path):
        """A store that cannot be written is an OSError."""
        with pytest.raises(OSError):
            Spool(Path("/proc/nowhere/spool/x"), "calls").append(request("x"), 1)

    def test_of_a_destination(self):
        """Another endpoint, protocol or tenant is another folder; another token is not."""
        store = Path("/s")
        one = folder_of(store, "grpc", "http://c:1/v1/logs", {"x-scope-orgid": "a", "authorization": "t1"})
        assert one == folder_of(store, "grpc", "http://c:1/v1/logs", {"X-Scope-OrgID": "a", "Authorization": "t2"})
        assert one.parent == store / "spool"
        assert one.name.startswith("c_1-")
        others = [
            folder_of(store, "grpc", "http://c:2/v1/logs", {"x-scope-orgid": "a"}),
            folder_of(store, "grpc", "http://c:1/v1/logs", {"x-scope-orgid": "b"}),
            folder_of(store, "http/protobuf", "http://c:1/v1/logs", {"x-scope-orgid": "a"}),
            folder_of(store, "grpc", "http://[bad", {}),
            folder_of(store, "grpc", "../../etc", {}),
        ]
        assert len({one, *others}) == 6
        assert all(other.parent == store / "spool" for other in others)


class TestThreads:
    def test_many_writers(self, spool):
        """Threads that append at the same time lose nothing and mix nothing up."""
        one = spool(file_bytes=50_000)

        def write(who):
            for n in range(200):
                one.append(request(f"{who}-{n}"), 1)

        threads = [threading.Thread(target=write, args=(who,)) for who in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = take(one)
        for who in "abcd":
            assert [body for body in found if body.startswith(who)] == [f"{who}-{n}" for n in range(200)]

    def test_busy(self, spool, monkeypatch):
        """Somebody who holds the lock for long is an OSError, not a hang."""
        monkeypatch.setattr("otel_logging.export.spool._WAIT", 0.01)
        one = spool()
        one.append(request("x"), 1)
        held, done = threading.Event(), threading.Event()

        def hold():
            with one._lock:
                held.set()
                done.wait(30)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(30)
        with pytest.raises(OSError, match="busy"):
            one.append(request("y"), 1)
        parcel = one.next(512, BIG)
        one.settle(parcel, 1)
        assert one.next(512, BIG) is None
        done.set()
        thread.join()


class TestRegistry:
    @pytest.fixture(autouse=True)
    def fresh(self):
        yield
        spools.forget()

    def test_one_a_destination(self, folder):
        """A second set-up finds the spool of the first, with what is in it; only what is in the books is held."""
        one = spools.open_spool(folder, "calls")
        one.append(request("a", "b"), 2)
        assert spools.held() == 0

        class Exporter:
            spool = one

        spools.count(Exporter())
        spools.count(object())
        assert spools.held() == 2
        one.close()
        assert spools.open_spool(folder, "calls") is one
        assert spools.figures() == {"held": 2, "adopted_delivered": 0, "adopted_dropped": 0}
        assert take(one) == ["a", "b"]
        one.close()
        assert list(folder.glob("*.spool")) == []

    def test_platform_without_locks(self, folder, monkeypatch):
        """Where files cannot be locked there is no spool."""
        monkeypatch.setattr(spools, "SUPPORTED", False)
        assert spools.open_spool(folder, "calls") is None

    def test_forked_child(self, folder):
        """A child has a spool of its own: it does not hold, send or release what its parent has."""
        code = f"""if True:
            import os, sys
            from pathlib import Path
            from otel_logging.export import spools
            one = spools.open_spool(Path({str(folder)!r}), "calls")
            one.append(b"parent", 1)
            pid = os.fork()
            if pid == 0:
                assert one.held == 0 and one.next(1, 1) is None
                one.look_round()
                assert not one.has_adopted
                one.append(b"child", 1)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            one.look_round()
            found = one.next(1, 1, adopted=True)
            assert found.blob == b"child", found.blob
            assert one.next(1, 1).blob == b"parent"
            print("fine")
        """
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
        assert done.stdout == "fine\n", done.stderr
