"""`import otel_logging.auto` as an application's first line sets logging up from the environment.

For programs that cannot be started through `otel-logging run` or `opentelemetry-instrument`. Nothing else belongs here.
"""

from otel_logging.boot.hooks import post_instrument

post_instrument()
