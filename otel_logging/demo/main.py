"""`otel-logging demo`: the same calls played twice, at LOG_LEVEL=DEBUG and at INFO, and what that cost in lines.

Arguments, the two runs, and what is printed. Everything is thrown away afterwards unless `--keep` says otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_logging.demo import report
    from otel_logging.demo.caller import Caller, Played

NEEDS = ("a2wsgi", "flask", "httpx", "python_multipart", "rich", "starlette", "uvicorn", "websockets")
LEVELS = ("DEBUG", "INFO")
PARTS = ("voice", "worker", "caller")
_MOST_CALLS = 200
SHOWN_GIVEN_BACK = 15  # of the lines that the recorder gave back, the last, which led to the failure

Progress = Callable[[int], None]


def parser() -> argparse.ArgumentParser:
    """The command line of the verb."""
    result = argparse.ArgumentParser(
        prog="otel-logging demo",
        description="Start a small voice service and a worker under otel-logging, play calls into them over real "
        "websockets, once at LOG_LEVEL=DEBUG and once at INFO, and count the lines.",
        epilog="One part alone, for containers: otel-logging demo voice|worker|caller --help",
    )
    result.add_argument("--calls", type=how_many, default=5, metavar="N", help="calls at once (default: 5)")
    result.add_argument("--speed", type=how_fast, default=10.0, metavar="X", help="1 is real time (default: 10)")
    result.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    result.add_argument("--keep", type=Path, metavar="DIR", help="keep stores and consoles in DIR/debug and DIR/info")
    return result


def how_many(text: str) -> int:
    """Argparse type of a number of calls at once."""
    number = int(text)
    if not 1 <= number <= _MOST_CALLS:
        raise argparse.ArgumentTypeError(f"1 to {_MOST_CALLS}")
    return number


def how_fast(text: str) -> float:
    """Argparse type of a speed."""
    number = float(text)
    if not 0.1 <= number <= 1000:
        raise argparse.ArgumentTypeError("0.1 to 1000 times real time")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb; 0 if both runs worked, 1 if not, 2 for wrong usage or a missing extra."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    part = arguments[0] if arguments and arguments[0] in PARTS else None
    try:
        options = parser().parse_args(arguments) if part is None else argparse.Namespace()
    except SystemExit as stop:
        return int(stop.code or 0)
    if missing := [name for name in NEEDS if find_spec(name) is None]:
        print(f"otel-logging demo needs {', '.join(missing)}: pip install 'otel-logging[demo]'", file=sys.stderr)
        return 2
    if part is not None:
        from otel_logging.demo import parts

        return parts.main(arguments)
    from otel_logging.demo import caller, processes, report

    if options.keep is not None and any((options.keep / level.lower()).exists() for level in LEVELS):
        print(f"otel-logging demo: {options.keep} holds an earlier demo; name another folder", file=sys.stderr)
        return 2
    calls = caller.choose(options.calls)
    try:
        with _folder(options.keep) as folder:
            runs: dict[str, report.Run] = {}
            for level in LEVELS:
                runs[level], played = _run(folder / level.lower(), level, calls, options)
            outcomes = {call.call_sid: call.outcome for call in played}
            result = report.build(outcomes, runs["DEBUG"], runs["INFO"])
            if options.json:
                print(json.dumps(result, ensure_ascii=False))
            else:
                _show(result, played, folder / "info", options.keep)
    except KeyboardInterrupt:
        print("otel-logging demo: interrupted; its processes are stopped", file=sys.stderr)
        return 130
    except (processes.DidNotStartError, caller.CallFailedError, OSError) as error:
        print(f"otel-logging demo: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="otel-logging-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(
    folder: Path, level: str, calls: list[tuple[str, Caller]], options: argparse.Namespace
) -> tuple[report.Run, list[Played]]:
    """One run: start, play, stop, read what was logged."""
    from otel_logging.demo import caller, processes, report
    from otel_logging.search import local

    total = sum(who.frames for _, who in calls)
    title = f"{len(calls)} calls at LOG_LEVEL={level}"
    with _progress(title, total, quiet=options.json) as progress, processes.services(folder, level) as running:
        try:
            played = asyncio.run(caller.play_all(running.url, calls, options.speed, progress))
        except caller.CallFailedError as error:
            raise caller.CallFailedError(f"{error}{running.tails()}") from error
    console = [line for name, path in running.consoles.items() for line in report.read_console(path, name)]
    return report.Run(console, list(local.scan(folder))), played


@contextmanager
def _progress(title: str, total: int, *, quiet: bool) -> Iterator[Progress]:
    """A progress bar on a terminal, a line elsewhere, nothing if `quiet`."""
    if quiet or not sys.stderr.isatty():
        if not quiet:
            print(f"{title} ...", file=sys.stderr)
        yield lambda _frames: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        yield lambda frames: bar.advance(task, frames)


def _show(result: dict[str, Any], played: Sequence[Played], store: Path, keep: Path | None) -> None:
    names = {call.call_sid: call.caller.name for call in played}
    header = ("call", "caller", "DEBUG", "INFO", "services", "outcome")
    rows = [
        (
            call["call_sid"],
            names[call["call_sid"]],
            f"{call['lines_debug']:,}",
            f"{call['lines_info']:,}",
            ", ".join(call["services"]),
            call["outcome"],
        )
        for call in result["calls"]
    ]
    print()
    if sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(*header, box=box.SIMPLE_HEAD, title="Console lines a call")
        table.columns[0].no_wrap = True
        for column in table.columns[2:4]:
            column.justify = "right"
        for row in rows:
            table.add_row(*row)
        Console().print(table)
    else:
        print("Console lines a call")
        print("\n".join(plain_table(header, rows)))
    print(f"\n{result['reduction']:.1%} fewer lines; {result['uncorrelated']} records without their call.")
    _show_failed(result, store)
    if keep is not None:
        print(f"\nKept. Look further: otel-logging calls --store {store}")


def plain_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The table as text with aligned columns, for output that is no terminal."""
    widths = [max(len(row[index]) for row in (header, *rows)) for index in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]


def _show_failed(result: dict[str, Any], store: Path) -> None:
    """The call that failed, as `otel-logging call` shows it."""
    from otel_logging.search import call_view, one_call

    failed = [call["call_sid"] for call in result["calls"] if call["outcome"] != "completed"]
    if not failed:
        return
    print(f"\n$ otel-logging call {failed[0]}\n")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    view = one_call.find_call(store, failed[0])
    given_back = [record for record in view.records if "otel_logging.trigger" in record.attributes]
    left_out = {id(record) for record in given_back[:-SHOWN_GIVEN_BACK]}
    view.records[:] = [record for record in view.records if id(record) not in left_out]
    for line in call_view.render_text(view, width=width, colour=sys.stdout.isatty()):
        print(line)
    if left_out:
        print(f"\n{len(left_out):,} more given-back lines are left out here; --keep DIR keeps them to look at.")
