"""Processes that take turns: each is asked over its input for one measurement at a time, and answers with JSON.

So variants that cannot live in one process are still measured next to one another, in the same seconds. What a variant
itself writes to its output goes nowhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Sides:
    """The processes by name; a context manager that ends them."""

    def __init__(self, commands: Mapping[str, Sequence[str]], environ: Mapping[str, str] | None = None) -> None:
        """Start `python -m …` for each of the commands, with `environ` added to their environment."""
        self._processes = {
            name: subprocess.Popen(
                [sys.executable, "-m", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **(environ or {})},
            )
            for name, command in commands.items()
        }

    def __enter__(self) -> Sides:  # noqa: PYI034 (nobody derives from it)
        return self

    def ask(self, name: str, request: Any) -> Any:
        """What the process `name` answers.

        Raises:
            RuntimeError: if it is gone.
        """
        process = self._processes[name]
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {name} ended with {process.wait(10)}")
        return json.loads(line)

    def __exit__(self, *_: object) -> None:
        """End their input, and with it themselves."""
        for process in self._processes.values():
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        for process in self._processes.values():
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    with process.stdout:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def serve(setting_up: Callable[[], contextlib.AbstractContextManager[Callable[[Any], Any]]]) -> None:
    """Be one of the processes: set up what is measured, and answer until the input ends.

    The output of the process is set aside for the answers first; then it is the null device.
    """
    with os.fdopen(os.dup(1), "w") as answers, open(os.devnull, "wb") as nothing:  # noqa: PTH123 (as short as it gets)
        os.dup2(nothing.fileno(), 1)
        with setting_up() as handle:
            for line in sys.stdin:
                answers.write(json.dumps(handle(json.loads(line))) + "\n")
                answers.flush()
