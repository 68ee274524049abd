"""`otel-logging demo`: a small voice service under otel-logging, called for real. Needs the extra `demo`."""

from __future__ import annotations

from otel_logging.cli import USAGE, common

# What the extra brings; a missing module of our own is a fault and must show as one.
_OURS = "otel_logging"


def main(argv: list[str]) -> int:
    """Run the demo; 2 with a hint if its packages are not installed."""
    try:
        from otel_logging.demo.main import main as demo
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"", _OURS}:
            raise
        common.tell(f"the demo needs {missing}, which is not installed: pip install 'otel-logging[demo]'")
        return USAGE
    return demo(argv)
