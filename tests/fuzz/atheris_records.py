"""Fuzzes `record_shapes.run_one` with atheris (libFuzzer), which looks for new paths through our own code.

An optional tool: `pip install atheris`. How to run it is told in README.md beside this file.
"""

from __future__ import annotations

import logging
import sys

import atheris

with atheris.instrument_imports(include=["otel_logging"]):
    import record_shapes


def main() -> None:
    """Run until libFuzzer's own options say that it is enough."""
    logging.raiseExceptions = False
    atheris.Setup(sys.argv, record_shapes.run_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
