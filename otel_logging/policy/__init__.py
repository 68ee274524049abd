"""Telemetry Policies: what is kept, decided by rules that are data. Knows nothing of OTel and does no I/O when hot."""
