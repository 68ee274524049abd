"""otel-logging: the OpenTelemetry logging bridge for voice-AI and telephony services.

Everything public is named here and loaded when first used: importing the package imports neither the OTel SDK nor
anything else that costs start-up time. What a name does is said where it is defined.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from otel_logging.boot.configure import configure, force_flush, shutdown, stats
    from otel_logging.bridge.handler import LoggingHandler
    from otel_logging.bridge.sampling import SamplingLogRecordProcessor
    from otel_logging.calls.call import Call, bind, call, current_call
    from otel_logging.calls.limits import every, every_n, once_per_call

__version__ = "0.1.0"

__all__ = [
    "Call",
    "LoggingHandler",
    "SamplingLogRecordProcessor",
    "__version__",
    "bind",
    "call",
    "configure",
    "current_call",
    "every",
    "every_n",
    "force_flush",
    "once_per_call",
    "shutdown",
    "stats",
]

_HOMES = {
    "Call": "otel_logging.calls.call",
    "LoggingHandler": "otel_logging.bridge.handler",
    "SamplingLogRecordProcessor": "otel_logging.bridge.sampling",
    "bind": "otel_logging.calls.call",
    "call": "otel_logging.calls.call",
    "configure": "otel_logging.boot.configure",
    "current_call": "otel_logging.calls.call",
    "every": "otel_logging.calls.limits",
    "every_n": "otel_logging.calls.limits",
    "force_flush": "otel_logging.boot.configure",
    "once_per_call": "otel_logging.calls.limits",
    "shutdown": "otel_logging.boot.configure",
    "stats": "otel_logging.boot.configure",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'otel_logging' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
