"""The plainest application: two records, one line, one print. With BOOT_AUTO it asks for otel-logging itself."""

import os

if os.environ.get("BOOT_AUTO"):
    import otel_logging.auto

import logging

logging.basicConfig(level=logging.INFO, format="%(name)s says %(message)s")
logging.getLogger("plain").info("first record;")
logging.getLogger("plain").error("second record;")
print("printed line;")
if os.environ.get("BOOT_STATS"):
    import otel_logging

    otel_logging.force_flush(float(os.environ["BOOT_STATS"]))
    print("stats", otel_logging.stats())
