"""otel-logging."""
