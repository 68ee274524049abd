"""A process that forks; both log for the call `room-1` until the file `stop` appears."""

import logging
import os
import time
from pathlib import Path

import otel_logging

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("jobs")
child = os.fork()
while not Path("stop").exists():
    with otel_logging.call("room-1"):
        log.debug(f"tick {'parent' if child else 'child'};")
    time.sleep(0.02)
if child:
    os.waitpid(child, 0)
