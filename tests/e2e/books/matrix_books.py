"""Has each process write its books to a file of its own when it has delivered what it had: for the matrix.

Imported by `sitecustomize` beside it, where `otel-logging run` leaves room for that, and by the applications themselves.
"""

import os

FOLDER = os.environ.get("MATRIX_BOOKS")


def write(folder, started):
    import json

    import otel_logging

    name = os.path.join(folder, f"{os.getpid()}-{started}.json")
    with open(name, "w") as file:
        json.dump(otel_logging.stats(), file)


def install(folder):
    import time

    from otel_logging.boot import ends

    started = time.monotonic_ns()  # a process that executes another program keeps its id
    bounded = ends._bounded

    def and_books(*args):
        try:
            bounded(*args)
        finally:
            write(folder, started)

    ends._bounded = and_books


if FOLDER and os.environ.get("OTEL_LOGGING") != "off":
    install(FOLDER)
