"""`python -m otel_logging.cli`."""

from __future__ import annotations

import sys

from otel_logging.cli import main

if __name__ == "__main__":
    sys.exit(main())
