"""The interpreter loads this where the folder is on PYTHONPATH; `otel-logging run` puts its own before and goes on here."""

import matrix_books  # noqa: F401
