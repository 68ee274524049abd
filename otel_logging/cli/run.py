"""`otel-logging run [--local] -- CMD ARGS…`: become that program, with otel-logging in each of its processes."""

from __future__ import annotations

from otel_logging.boot import run


def main(argv: list[str]) -> int:
    """Hand over; returns only if the program could not be started."""
    return run.main(argv)
