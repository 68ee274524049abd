"""What it costs to find one call among 1.25 million records, to index and seal them, and to search them for a text.

The store is made anew in a temporary folder. All figures are ratios within this run: whole processes by the CPU time
that they take, the median of turns with a bare Python that imports json and sqlite3; indexing and sealing against
parsing the same lines with json; searching for a text against ripgrep on the same files, by wall time, which both spend
waiting alike.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import store_maker

TURNS = 25
SAMPLE = 64 * 1024 * 1024  # bytes of lines that are parsed for comparison


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("--records", type=int, default=store_maker.FULL, help="how many (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=TURNS, help="of each process (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        store = Path(folder, "store")
        made = store_maker.make(store, options.records)
        long_ago = time.time() - 3600  # nobody writes any more
        for path in (store / "logs").iterdir():
            os.utime(path, (long_ago, long_ago))
        environ = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(folder, "compiled"))}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        figures = _indexing(store, made.records)
        figures |= _text(store, environ)
        figures |= _calls(store, made, environ, "raw", options.turns)
        figures |= _sealing(store, made)
        figures |= _calls(store, made, environ, "sealed", options.turns)
    print(json.dumps(figures))


def _command(store: Path, *words: str) -> list[str]:
    return [str(Path(sys.executable).with_name("otel-logging")), "--store", str(store), *words]


def _calls(store: Path, made: store_maker.Made, environ: dict[str, str], form: str, turns: int) -> dict[str, float]:
    commands = {
        "bare": [sys.executable, "-c", "import json, sqlite3"],
        "short": _command(store, "call", made.short),
        "long": _command(store, "call", made.long),
    }
    for command in commands.values():
        _cpu(command, environ)  # the first time fills caches
    spent = [{name: _cpu(command, environ) for name, command in commands.items()} for _ in range(turns)]
    return {
        f"store.call.{size}.{form}": statistics.median(turn[size] / turn["bare"] for turn in spent)
        for size in ("short", "long")
    }


def _cpu(command: list[str], environ: dict[str, str]) -> float:
    """Seconds of CPU that a whole process takes."""
    nothing = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    _, status, used = os.wait4(os.posix_spawn(command[0], command, environ, file_actions=nothing), 0)
    if status:
        sys.exit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime


def _indexing(store: Path, records: int) -> dict[str, float]:
    from otel_logging.search import indexing
    from otel_logging.search.files import LOGS
    from otel_logging.search.reading import Reading

    parsing = spent = 1e9
    for _ in range(3):
        for path in store.glob("index.db*"):
            path.unlink()
        parsing = min(parsing, _parsing(store))
        files = Reading(store).files(LOGS)
        began = time.process_time()
        indexing.catch_up(store, files, 2**62)
        spent = min(spent, time.process_time() - began)
    size = sum(path.stat().st_size for path in store.glob("index.db*"))
    return {"store.index": spent / records / parsing, "store.index.size": size / records}


def _parsing(store: Path) -> float:
    """Seconds of CPU that json takes for one record of the store."""
    lines: list[bytes] = []
    room = SAMPLE
    for path in sorted((store / "logs").iterdir()):
        with path.open("rb") as file:
            lines += file.read(room // 4).splitlines()[:-1]
        room -= room // 4
    count = sum(line.count(b'{"timeUnixNano"') for line in lines)
    began = time.process_time()
    for line in lines:
        json.loads(line)
    return (time.process_time() - began) / count


def _sealing(store: Path, made: store_maker.Made) -> dict[str, float]:
    from otel_logging.search import keeping, retention

    parsing = min(_parsing(store), _parsing(store))
    began = time.process_time()
    keeping.keep(store, retention.Limits(2**62, 2**62))
    spent = time.process_time() - began
    left = sum(path.stat().st_size for path in (store / "logs").iterdir())
    return {"store.seal": spent / made.records / parsing, "store.seal.size": left / made.records}


def _text(store: Path, environ: dict[str, str]) -> dict[str, float]:
    ripgrep = shutil.which("rg")
    if ripgrep is None:
        return {}
    ours = _command(store, "search", store_maker.NEEDLE, "--limit", "10")
    theirs = [ripgrep, "--fixed-strings", "--ignore-case", "--count", store_maker.NEEDLE, str(store / "logs")]
    least = {"ours": 1e9, "theirs": 1e9}
    for _ in range(15):
        for name, command in (("ours", ours), ("theirs", theirs)):
            began = time.perf_counter()
            subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            least[name] = min(least[name], time.perf_counter() - began)
    return {"store.text": least["ours"] / least["theirs"]}


if __name__ == "__main__":
    main()
