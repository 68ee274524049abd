"""The verb `demo`: its arguments, its errors, its table. The runs themselves are in tests/e2e/test_demo.py."""

from __future__ import annotations

import pytest

from otel_logging.demo import main, processes


@pytest.mark.parametrize(
    "argv", [["--calls", "0"], ["--calls", "x"], ["--calls", "201"], ["--speed", "0"], ["--speed", "nan"], ["--wrong"]]
)
def test_wrong_usage_is_exit_code_two(argv, capsys):
    """An argument that makes no sense is refused with a usage line and exit code 2."""
    assert main.main(argv) == 2
    assert "usage: otel-logging demo" in capsys.readouterr().err


def test_help_is_exit_code_zero(capsys):
    """`--help` says what the verb does."""
    assert main.main(["--help"]) == 0
    assert "--keep" in capsys.readouterr().out


def test_a_missing_extra_is_named(monkeypatch, capsys):
    """Without the demo's packages the error says what to install."""
    monkeypatch.setattr(main, "NEEDS", ("json", "no_such_package"))
    assert main.main([]) == 2
    err = capsys.readouterr().err
    assert "no_such_package" in err
    assert "otel-logging[demo]" in err
    assert "json" not in err


def test_a_process_that_does_not_start_is_reported(monkeypatch, capsys, tmp_path):
    """A child that ends at once gives exit code 1 and its own last lines."""
    monkeypatch.setattr(processes, "_APP_DIR", tmp_path)
    assert main.main(["--json"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "voice-worker ended with exit code" in captured.err
    assert "server" in captured.err.split("its last lines:")[1]


def test_kept_folders_are_never_mixed(tmp_path, capsys):
    """`--keep` refuses a folder that holds an earlier demo: two runs in one store would be counted as one."""
    (tmp_path / "info").mkdir()
    assert main.main(["--keep", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_plain_table_is_aligned():
    """Without a terminal the table's columns line up and carry no trailing blanks."""
    assert main.plain_table(("a", "b"), [("long", "1"), ("x", "22")]) == ["a     b", "long  1", "x     22"]
