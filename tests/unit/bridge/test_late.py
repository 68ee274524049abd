"""`otel_logging/bridge/late.py`: what only shows in a whole process. How it translates is held in `tests/property`."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging, os, sys
import otel_logging

otel_logging.configure(logs_exporter="local", store=sys.argv[1], log_console=False)
log = logging.getLogger("server")
log.warning("before the fork")
log.warning("before the fork", extra={"list": [1]})
otel_logging.force_flush()
child = os.fork()
who = "parent" if child else "child"
log.warning(f"{who}: taken late")
log.warning(f"{who}: taken at once", extra={"list": [1]})
otel_logging.force_flush()
if child:
    os.waitpid(child, 0)
"""


def test_a_forked_child_has_an_instance_id_of_its_own(tmp_path):
    """Whichever way its records are taken, a forked child is told from its parent, and two of its records are not."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM, str(tmp_path)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert done.stderr == b""
    ids = {}
    for file in (tmp_path / "logs").iterdir():
        for line in file.read_text(encoding="utf-8").splitlines():
            for resource in json.loads(line)["resourceLogs"]:
                (own,) = (
                    pair["value"]["stringValue"]
                    for pair in resource["resource"]["attributes"]
                    if pair["key"] == "service.instance.id"
                )
                for scope in resource["scopeLogs"]:
                    for record in scope["logRecords"]:
                        ids.setdefault(record["body"]["stringValue"], set()).add(own)
    assert ids["child: taken late"] == ids["child: taken at once"]
    assert ids["parent: taken late"] == ids["parent: taken at once"] == ids["before the fork"]
    assert ids["child: taken late"] != ids["parent: taken late"]
