"""An application that does what it is told on stdin, one command a line, and answers each with one line of JSON."""

import json
import logging
import os
import signal
import sys

import otel_logging

log = logging.getLogger("outage")


def do(words):
    name, *rest = words
    if name == "log":  # log PREFIX COUNT
        for n in range(int(rest[1])):
            log.info("%s-%04d", rest[0], n)
        return True
    if name == "big":  # big CALL_SID SIZE: one line of so many letters of two bytes each, and a traceback of as many
        with otel_logging.call(rest[0]):
            try:
                raise ValueError("ב" * int(rest[1]))
            except ValueError:
                log.exception("א" * int(rest[1]))
        return True
    if name == "flush":
        return otel_logging.force_flush(float(rest[0]))
    if name == "shutdown":
        return otel_logging.shutdown(float(rest[0]))
    if name == "configure":
        otel_logging.configure(log_json=True)
        return True
    if name == "stats":
        return otel_logging.stats()
    if name == "child":  # child PREFIX COUNT: a forked child logs and leaves by os._exit
        pid = os.fork()
        if pid == 0:
            do(["log", *rest])
            os._exit(0)
        return os.waitpid(pid, 0)[1]
    if name == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "leave":
        os._exit(0)
    raise ValueError(words)


while line := sys.stdin.readline():
    print(json.dumps(do(line.split())), flush=True)
