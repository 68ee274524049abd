"""The plain scan: whole lines, any writers, nothing skipped in silence."""

from __future__ import annotations

import json
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logging.search import files, plans, reading
from otel_logging.search.local import Searched, needles, scan, scan_spans

CALL = "CA" + "3f" * 16


def bodies(store, **kwargs):
    return [record.body for record in scan(store.root, **kwargs)]


class TestReading:
    def test_files_in_name_order_lines_in_file_order(self, store):
        """Records come file by file and line by line, several to a line, with their file as the source."""
        store.log("b-2", store.record("3"))
        store.log("a-1", store.record("1"), store.record("2"))
        assert bodies(store) == ["1", "2", "3"]
        assert [record.source for record in scan(store.root)] == ["logs/a-1.jsonl"] * 2 + ["logs/b-2.jsonl"]

    def test_only_whole_lines(self, store):
        """A last line without its newline is left for later and counted, even if it is complete JSON by chance."""
        store.log("a", store.record("1"))
        store.log("a", store.record("2"), end="")
        searched = Searched()
        assert bodies(store, searched=searched) == ["1"]
        assert (searched.unfinished, searched.broken, searched.lines) == (1, 0, 1)
        store.raw("logs", "a", "\n")
        assert bodies(store) == ["1", "2"]

    @pytest.mark.parametrize("wanted", [(), (b"wanted",)])
    def test_broken_lines_are_counted(self, store, wanted):
        """A broken line costs only itself and is counted, wanted or not; empty lines are nothing."""
        store.log("a", store.record("wanted 1"))
        store.raw("logs", "a", b'{"torn\n\n  \r\nno json\n\xff\xfe\n[1]\n')
        store.log("a", store.record("wanted 2"))
        searched = Searched()
        assert bodies(store, wanted=wanted, searched=searched) == ["wanted 1", "wanted 2"]
        assert searched.broken == 4

    def test_broken_line_with_what_is_wanted(self, store):
        """Only a broken line that may hold what is wanted makes an answer incomplete."""
        store.raw("logs", "a", b'{"torn\n')
        searched = Searched()
        assert bodies(store, wanted=(b"wanted",), searched=searched) == []
        assert (searched.broken, searched.missed) == (1, False)
        store.raw("logs", "a", b'{"torn wanted}\n')
        assert bodies(store, wanted=(b"wanted",), searched=searched) == []
        assert searched.missed

    def test_bytes_that_are_no_utf8(self, store):
        """A line with bytes that are no UTF-8 is read with those replaced."""
        line = json.dumps({"timestamp": "2024-01-21T19:30:26Z", "message": "a?b"}).encode().replace(b"?", b"\xff")
        store.raw("logs", "a", line + b"\r\n")
        assert bodies(store) == ["a\ufffdb"]

    def test_nested_beyond_reason(self, store):
        """A line of a hundred thousand brackets is a broken line, not a crash."""
        store.raw("logs", "a", '{"a":' + "[" * 100_000 + "]" * 100_000 + "}\n")
        store.log("a", store.record("1"))
        assert bodies(store) == ["1"]

    @given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=12), st.integers(1, 80))
    def test_any_block_size(self, tmp_path_factory, texts, size):
        """However the file falls into blocks, the same lines come out."""
        root = tmp_path_factory.mktemp("store")
        (root / "logs").mkdir()
        lines = [json.dumps({"timestamp": 1, "message": text}, ensure_ascii=False) + "\n" for text in texts]
        (root / "logs" / "a.jsonl").write_text("".join(lines), "utf-8", newline="")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plans, "BLOCK", size)
            for wanted in ((), (b"mess",)):
                searched = Searched()
                assert [record.body for record in scan(root, wanted=wanted, searched=searched)] == texts
                assert (searched.lines, searched.records, searched.broken) == (len(texts), len(texts), 0)

    def test_a_line_without_end(self, store, monkeypatch):
        """A line too long to be one of ours is skipped and counted without being held in memory."""
        monkeypatch.setattr(plans, "BLOCK", 16)
        monkeypatch.setattr(plans, "LONGEST", 2000)
        store.log("a", store.record("1"))
        store.raw("logs", "a", "x" * 5000 + "\n")
        store.log("a", store.record("2"))
        searched = Searched()
        assert bodies(store, searched=searched) == ["1", "2"]
        assert (searched.broken, searched.missed) == (1, True)

    def test_while_others_write(self, store):
        """Read again and again while a writer appends in pieces: never a broken line, never fewer records."""
        done = threading.Event()

        def write():
            for number in range(300):
                text = json.dumps({"timestamp": 1, "message": str(number)}) + "\n"
                store.raw("logs", "a", text[:20])
                store.raw("logs", "a", text[20:])
            done.set()

        writer = threading.Thread(target=write)
        writer.start()
        seen = 0
        while not done.is_set():
            searched = Searched()
            now = len(bodies(store, searched=searched))
            assert searched.broken == 0
            assert now >= seen
            seen = now
        writer.join()
        assert bodies(store) == [str(number) for number in range(300)]


class TestFiles:
    def test_no_store(self, tmp_path):
        """A store that does not exist holds nothing and is no trouble."""
        searched = Searched()
        assert list(scan(tmp_path / "none", searched=searched)) == []
        assert (searched.files, searched.problems) == (0, [])

    def test_only_regular_jsonl_files(self, store, tmp_path):
        """Other names, folders, pipes and symbolic links are not read, and the links are reported."""
        store.log("a", store.record("1"))
        (store.root / "logs" / "notes.txt").write_text("{}\n")
        (store.root / "logs" / "folder.jsonl").mkdir()
        os.mkfifo(store.root / "logs" / "pipe.jsonl")
        (tmp_path / "secret.jsonl").write_text('{"timestamp":1,"message":"secret"}\n')
        (store.root / "logs" / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
        searched = Searched()
        assert bodies(store, searched=searched) == ["1"]
        assert searched.files == 1
        assert searched.problems == ["logs/link.jsonl: a symbolic link, not followed"]

    def test_linked_folder(self, store, tmp_path):
        """A `logs` folder that is a symbolic link is not followed, and that is said."""
        store.root.mkdir()
        (store.root / "logs").symlink_to(tmp_path)
        searched = Searched()
        assert bodies(store, searched=searched) == []
        assert searched.missed
        assert "symbolic link" in searched.problems[0]

    def test_swapped_for_a_link_after_listing(self, store, tmp_path):
        """A file that becomes a symbolic link between listing and opening is refused and reported."""
        (tmp_path / "secret.jsonl").write_text('{"timestamp":1,"message":"secret"}\n')
        store.log("a", store.record("1"))
        found = files.listed(store.root, "logs", Searched())
        (store.root / "logs" / "a.jsonl").unlink()
        (store.root / "logs" / "a.jsonl").symlink_to(tmp_path / "secret.jsonl")
        with pytest.raises(OSError), files.opened(found[0]):
            pass

    def test_unreadable_file(self, store, monkeypatch):
        """A file that cannot be opened is reported with its reason, and the others are read."""
        store.log("a", store.record("1"))
        store.log("b", store.record("2"))
        opened = os.open

        def refuse(path, *args):
            if str(path).endswith("a.jsonl"):
                raise PermissionError(13, "Permission denied")
            return opened(path, *args)

        monkeypatch.setattr(os, "open", refuse)
        searched = Searched()
        assert bodies(store, searched=searched) == ["2"]
        assert searched.problems == ["logs/a.jsonl: Permission denied"]
        assert searched.missed

    def test_spans(self, store):
        """Spans come from `traces`, records from `logs`, and each is counted."""
        store.log("a", store.record("1"))
        store.trace("a", store.span("call", trace="a" * 32, span="b" * 16, call=CALL))
        searched = Searched()
        assert [span.name for span in scan_spans(store.root, searched=searched)] == ["call"]
        assert bodies(store, searched=searched) == ["1"]
        assert (searched.files, searched.spans, searched.records) == (2, 1, 1)
        assert searched.as_json()["bytes"] == sum(path.stat().st_size for path in store.root.rglob("*.jsonl"))


class TestWanted:
    def test_other_lines_are_not_parsed(self, store, monkeypatch):
        """A line without what is wanted never reaches the JSON parser."""
        store.log("a", store.record("other"), store.record("other too"))
        store.log("a", store.record("mine", call=CALL))
        parsed = []
        monkeypatch.setattr(reading, "parse", lambda line: parsed.append(line) or json.loads(line))
        assert bodies(store, wanted=needles(CALL)) == ["mine"]
        assert len(parsed) == 1

    @given(st.text(min_size=1, max_size=20))
    def test_never_too_few(self, tmp_path_factory, text):
        """A line that contains the text is never passed over, escaped or not, in any case."""
        root = tmp_path_factory.mktemp("store")
        (root / "logs").mkdir()
        raw = json.dumps({"timestamp": 1, "message": f"x{text}y"}, ensure_ascii=False).encode("utf-8", "surrogatepass")
        escaped = json.dumps({"timestamp": 1, "message": f"x{text}y"}).encode()
        upper = json.dumps({"timestamp": 1, "message": "none"}).encode()
        (root / "logs" / "a.jsonl").write_bytes(raw + b"\n" + upper + b"\n" + escaped + b"\n")
        found = [record.body for record in scan(root, wanted=needles(text)) if text in record.body]
        assert len(found) >= 2

    def test_empty_means_nothing_to_skip(self):
        """No text is no filter."""
        assert needles("", None) == ()
