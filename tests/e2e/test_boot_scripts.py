"""Every logger's records are exported exactly once and printed exactly once, whatever a script does to `logging`.

All processes of the matrix are started side by side, two at a time, by one fixture; each test looks at one of them.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

VARIANTS = (
    "plain",
    "unconfigured",
    "dict_config",
    "dict_config_false",
    "dict_config_true",
    "early_import",
    "configurator_class",
    "incremental",
    "file_config",
    "basic_force",
    "clear_handlers",
    "replace_handlers",
    "propagate_false",
    "own_file",
    "quiet_module",
    "prints",
    "prints_replaced",
    "prints_to_logger",
)
WAYS = ("run", "instrument", "instrument-bare", "auto")
# The other ways differ in who configures and when, not in what an application can do to `logging` afterwards.
EVERYWHERE = ("plain", "dict_config", "early_import", "clear_handlers", "prints")
MATRIX = [(how, variant) for how in WAYS for variant in VARIANTS if how == "run" or variant in EVERYWHERE]


@pytest.fixture(scope="module")
def matrix(launch, apps):
    """All processes of the matrix, ended."""

    def finish(row):
        how, variant = row
        process = launch([sys.executable, apps / "boot_script.py", variant], how, {"LOG_CAPTURE_PRINT": "1"})
        process.wait()
        return process

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(MATRIX, pool.map(finish, MATRIX), strict=True))


@pytest.mark.parametrize(("how", "variant"), MATRIX)
def test_exactly_once(matrix, how, variant):
    """Each message is exported once and printed once, and what was below its level never."""
    process = matrix[how, variant]
    assert process.process.returncode == 0, process.describe()
    bodies, printed = process.bodies(), process.printed
    expected = (process.folder / "expected").read_text().splitlines()
    assert expected
    for line in expected:
        count, _, message = line.partition(" ")
        exported = sum(message in body for body in bodies if body)
        assert exported == int(count), f"{message!r} exported; {process.describe()}"
        assert sum(message in text for text in printed) == int(count), f"{message!r} printed; {process.describe()}"


@pytest.mark.parametrize(("how", "variant"), MATRIX)
def test_boot_line(matrix, how, variant):
    """The first line is the boot line, at INFO, once; nothing of ours is on stderr."""
    process = matrix[how, variant]
    line = "LOGGING CONFIGURED: level=INFO, json=0"
    assert process.out.splitlines()[0].endswith(line), process.describe()
    assert " INFO " in process.out.splitlines()[0]
    assert sum(line in text for text in process.printed) == 1
    assert process.bodies().count(line) == 1
    assert "otel-logging:" not in process.err, process.describe()
    assert "Traceback" not in process.err, process.describe()


@pytest.mark.parametrize("how", WAYS)
def test_exceptions(matrix, how):
    """A logged exception arrives whole, with its traceback, on its own record."""
    (record,) = [record for record in matrix[how, "plain"].records() if record["body"] == "plain caught;"]
    assert record["attributes"]["exception.type"] == "ValueError"
    assert record["attributes"]["exception.message"] == "plain exception"
    assert "Traceback" in record["attributes"]["exception.stacktrace"]
    assert record["attributes"]["code.function.name"] == "plain"


@pytest.mark.parametrize("how", WAYS)
def test_warnings(matrix, how):
    """What captureWarnings logs arrives once."""
    bodies = [body for body in matrix[how, "plain"].bodies() if "plain warned" in body]
    assert len(bodies) == 1


@pytest.mark.parametrize("how", WAYS)
def test_prints(matrix, how, apps):
    """Printed lines are INFO records of the logger `print` which name their line of the application."""
    records = [record for record in matrix[how, "prints"].records() if record["logger"] == "print"]
    assert [record["body"] for record in records] == ["printed line;", "printed;", "partial ;and its rest"]
    assert {record["level"] for record in records} == {"INFO"}
    assert {record["attributes"]["code.file.path"] for record in records} == {str(apps / "boot_script.py")}
    assert {record["attributes"]["code.function.name"] for record in records} == {"prints"}


def test_prints_are_left_alone(launch, apps):
    """Without LOG_CAPTURE_PRINT printed lines are printed once and exported never."""
    process = launch([sys.executable, apps / "boot_script.py", "prints"])
    assert process.wait() == 0
    assert process.out.splitlines()[1:] == ["printed line;", "printed;", "partial ;and its rest"]
    assert not [record for record in process.records() if record["logger"] == "print"]
