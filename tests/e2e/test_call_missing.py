"""What `call` says is missing, on what a real service wrote: nothing where all is there, and what was taken away."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

CALL = "CA" + "a1" * 16
SERVICE = """
import logging, sys, threading, otel_logging
otel_logging.configure()
log = logging.getLogger("media")
parties = {"direction": "inbound", "from": "+15550100", "to": "+15550101"}
with otel_logging.call(CALL, **parties) as call:
    for n in range(300):
        log.info("[AUDIO_DELTA] response_id=resp_%s, bytes=216", n)
    for word in ("connected", "greeted", "listening"):
        log.info(word)
    def work():
        with call.activate():
            log.warning("slow")
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if sys.argv[1] == "failed":
        log.error("it broke")
with otel_logging.call(CALL):
    log.info("once more")
otel_logging.shutdown()
""".replace("CALL", repr(CALL))


@pytest.fixture(params=["fine", "failed"])
def store(request, tmp_path):
    """The store that a service wrote: a call that went well, or one whose frames were given back; served twice."""
    script = tmp_path / "service.py"
    script.write_text(SERVICE)
    env = {**os.environ, "OTEL_LOGGING_STORE": str(tmp_path / "store"), "OTEL_LOGS_EXPORTER": "local",
           "OTEL_SERVICE_NAME": "media", "OTEL_LOGGING_PRIVACY": "strict"}  # fmt: skip
    subprocess.run([sys.executable, script, request.param], env=env, check=True, capture_output=True, timeout=120)
    return tmp_path / "store"


def call(store):
    """What the command says of the call."""
    command = [sys.executable, "-m", "otel_logging", "call", CALL, "--store", store, "--format", "json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=120).stdout)


def kept(record):
    """Whether a line was kept when it was made."""
    return CALL in str(record) and "recovered" not in str(record["attributes"]) and "summary" not in str(record)


def test_nothing_where_all_is_there(store):
    """The books of a real process agree with what it stored, recovered frames and a second part of the call included."""
    view = call(store)
    assert view["books"]["summaries"] == 2
    assert view["books"]["kept"] + view["books"]["recovered"] + 2 == len(view["records"])
    assert view["missing"] == []


def test_what_was_taken_away(store):
    """Two records cut out of its file are missed."""
    (path,) = (store / "logs").glob("*.jsonl")
    cut, lines = 2, []
    for line in path.read_text("utf-8").splitlines():
        payload = json.loads(line)
        for resource in payload["resourceLogs"]:
            for scope in resource["scopeLogs"]:
                for record in [one for one in scope["logRecords"] if kept(one)][:cut]:
                    scope["logRecords"].remove(record)
                    cut -= 1
        lines.append(json.dumps(payload, separators=(",", ":")) + "\n")
    path.write_text("".join(lines), "utf-8")
    (missing,) = call(store)["missing"]
    assert (missing["service"], missing["kept"] - missing["here"]) == ("media", 2)


def test_parties_as_stored(store):
    """Who called whom is shown as privacy left it: the numbers are masked in strict mode, the direction is not."""
    assert call(store)["parties"] == {"direction": "inbound", "from": "[PHONE]", "to": "[PHONE]"}
