"""What a record costs that is kept, beside the official handler, batch processor and encoder.

Two processes that take turns, each with a real exporter to a real endpoint in a third process: ours set up by
`configure()` with all defaults but the console, redaction of secrets included, the other as the official one sets
itself up. `emit` is CPU time of the thread that logs, `encode` that of the exporting thread to turn a batch into bytes,
with all that was put off until then. Figures are ours as a part of the official way's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from benchmarks import turns
from benchmarks.measure import clock
from benchmarks.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RECORDS = 400  # fewer than a batch: the exporting thread sleeps while a turn is measured
TURNS = 40
SHAPES = ("extras", "plain")


def _emit(logger: logging.Logger, shape: str) -> int:
    began = clock()
    if shape == "plain":
        for number in range(RECORDS):
            logger.info("turn %d of the call has begun", number)
    else:
        for number in range(RECORDS):
            logger.info(
                "turn %d of the call has begun",
                number,
                extra={"turn": number, "latency_ms": number * 1.5, "voice": "alloy", "barge_in": False},
            )
    return (clock() - began) // RECORDS


def _turn(encode: Any, flush: Any) -> Callable[[Any], Any]:
    """What answers a shape with the nanoseconds of one record: to emit and to encode it."""
    from opentelemetry.sdk.trace import TracerProvider

    tracer = TracerProvider().get_tracer("benchmark")
    logger = logging.getLogger("server.media_ws_ai")

    def measured(shape: str) -> tuple[int, int]:
        with tracer.start_as_current_span("turn"):
            emitted = _emit(logger, shape)
        flush()
        return emitted, encode()

    return measured


def _encoding(module: Any, name: str) -> Any:
    """Watch `module.name`, through which batches are encoded, and give a function that tells what a record took there.

    It is the encoding itself that is watched, in the thread that exports: whatever is put off until then is in it.
    """
    original = getattr(module, name)
    seen = [0, 0]  # nanoseconds, records

    def watched(batch: Any, *args: Any) -> Any:
        began = clock()
        made = original(batch, *args)
        if not isinstance(made, bytes):
            made.SerializeToString()  # as the exporter does next
        seen[0] += clock() - began
        seen[1] += len(batch)
        return made

    setattr(module, name, watched)

    def measured() -> int:
        spent, records = seen
        seen[:] = 0, 0
        return spent // records

    return measured


@contextlib.contextmanager
def ours() -> Iterator[Callable[[Any], Any]]:
    """This side: `configure()` with all defaults but the console."""
    import otel_logging
    from otel_logging.export import otlp_request

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as store:
        otel_logging.configure(logs_exporter="otlp", store=store, log_console="off", log_level="INFO")
        yield _turn(_encoding(otlp_request, "encode"), lambda: otel_logging.force_flush(20))
        otel_logging.shutdown(2.0)


@contextlib.contextmanager
def official() -> Iterator[Callable[[Any], Any]]:
    """The other side: the handler, the batch processor and the exporter of OpenTelemetry."""
    from opentelemetry.exporter.otlp.proto.http import _log_exporter
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider()
    encode = _encoding(_log_exporter, "encode_logs")
    provider.add_log_record_processor(BatchLogRecordProcessor(_log_exporter.OTLPLogExporter()))
    root = logging.getLogger()
    root.addHandler(LoggingHandler(logger_provider=provider))
    root.setLevel(logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    yield _turn(encode, provider.force_flush)
    provider.shutdown()


def main() -> None:
    """Print the ratios as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kept", description=__doc__)
    parser.add_argument("--turns", type=int, default=TURNS, help="of each side (default: %(default)s)")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side is not None:
        turns.serve(SIDES[options.side])
        return
    costs: dict[tuple[str, str], list[tuple[int, int]]] = {}
    commands = {side: ("benchmarks.kept", "--side", side) for side in SIDES}
    with Sink() as sink, turns.Sides(commands, {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}) as sides:
        for turn in range(options.turns + 2):  # the first ones fill caches
            for shape in SHAPES:
                for side in SIDES:
                    emitted, encoded = sides.ask(side, shape)
                    if turn > 1:
                        costs.setdefault((shape, side), []).append((emitted, encoded))
    found = {}
    for shape in SHAPES:
        ours_emit, official_emit = (min(turn[0] for turn in costs[shape, side]) for side in SIDES)
        ours_encode, official_encode = (min(turn[1] for turn in costs[shape, side]) for side in SIDES)
        found[f"kept.{shape}.emit"] = ours_emit / official_emit
        found[f"kept.{shape}.encode"] = ours_encode / official_encode
        found[f"kept.{shape}.both"] = (ours_emit + ours_encode) / (official_emit + official_encode)
    json.dump(found, sys.stdout)


SIDES = {"ours": ours, "official": official}

if __name__ == "__main__":
    main()
