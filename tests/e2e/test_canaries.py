"""Secrets logged in every way there is, and then an error: nothing hidden is found anywhere, in any privacy mode.

Each destination is a row of `DESTINATIONS`: how a real process is set up for it, and how everything that it let out is
read. The secrets that a mode must hide are those of `CANARIES` up to that mode.
"""

from __future__ import annotations

import gzip
import json
import sys
import unicodedata

import pytest
from otlp_sink import OtlpSink

A, B, C = ("CA" + digits * 16 for digits in ("a1", "b2", "c3"))
AUDIO = "".join(chr(48 + (n * 7) % 10) + chr(65 + (n * 11) % 26) + chr(97 + n % 26) for n in range(64))
ORDER = ["off", "secrets", "strict"]
# name: from which mode on it is hidden, what must not be found, the text that it stands in
CANARIES = {
    "audio": ("off", AUDIO[:60], f'{{"event":"media","media":{{"payload":"{AUDIO}"}}}}'),
    "dtmf": ("off", "739164", "[DTMF] caller typed digits=739164"),
    "bearer": ("secrets", "t0ps3cr3tb34r3r", "asked with Authorization: Bearer t0ps3cr3tb34r3r"),
    "key": ("secrets", "abcdefghijklmnop1234", "client made with sk-proj-abcdefghijklmnop1234"),
    "password": ("secrets", "hunter2hunter2", "login password=hunter2hunter2 user=bob"),
    "card": ("strict", "4580458045804580", "paid with card 4580458045804580"),
    "phone": ("strict", "972501234567", "call from +972501234567"),
    "name": ("strict", "דנה כהן", "customer loaded: name=דנה כהן, stage=2"),
}
TEXTS = [text for _, _, text in CANARIES.values()]


def files_below(folder):
    """The text of every file, unpacked."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if data[:2] == b"\x1f\x8b":
                data = gzip.decompress(data)
            found.append(data.decode("utf-8", "replace"))
    return "\n".join(found)


class Console:
    """Lines on stdout and stderr, and nothing else. At LOG_LEVEL=DEBUG everything is printed at once."""

    def __init__(self, log_json, level):
        self.env = {"LOG_JSON": log_json, "LOG_LEVEL": level, "OTEL_LOGS_EXPORTER": "console"}
        self.gives_back = level == "DEBUG"

    def let_out(self, process):
        """Both streams."""
        return process.out + process.err


class Otlp:
    """An OTLP endpoint, over HTTP, with what it decoded."""

    gives_back = True

    def __init__(self):
        self.sink = OtlpSink()
        self.env = {
            "OTEL_LOGS_EXPORTER": "otlp", "OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.sink.url, "LOG_CONSOLE": "off",
        }  # fmt: skip

    def let_out(self, process):
        """Records and spans as they arrived."""
        self.sink.close()
        assert self.sink.invalid == []
        parts = [f"{one.body!s} {one.attributes!s} {one.logger} {one.resource!s}" for one in self.sink.records]
        parts += [f"{one.name} {one.attributes!s}" for one in self.sink.spans]
        return "\n".join([*parts, process.out, process.err])


class Store:
    """The local store: logs, traces and attic."""

    gives_back = True

    def __init__(self):
        self.env = {"OTEL_LOGS_EXPORTER": "local", "LOG_CONSOLE": "off"}

    def let_out(self, process):
        """Every file in it."""
        assert list((process.store / "attic").glob(f"{B}~*")), "the call that ended well has no page in the attic"
        return files_below(process.store) + process.out + process.err


# One row more for each further place that records may go to.
DESTINATIONS = {
    "console, human": lambda: Console("0", "INFO"),
    "console, JSON": lambda: Console("1", "INFO"),
    "console at DEBUG": lambda: Console("1", "DEBUG"),
    "otlp": Otlp,
    "store and attic": Store,
}


@pytest.fixture(scope="module", params=ORDER)
def mode(request):
    return request.param


@pytest.fixture(scope="module", params=DESTINATIONS)
def service(request, mode, launch, apps, tmp_path_factory):
    """The service has run and ended: the destination, and everything that it let out."""
    texts = tmp_path_factory.mktemp("canaries") / "texts.json"
    texts.write_text(json.dumps(TEXTS), encoding="utf-8")
    destination = DESTINATIONS[request.param]()
    env = {"OTEL_LOGGING_PRIVACY": mode, "PYTHONIOENCODING": "utf-8", "LOG_CAPTURE_PRINT": "1"}
    process = launch([sys.executable, apps / "canaries.py", texts], how="none", env={**env, **destination.env})
    assert process.wait() == 0, process.describe()
    return destination, destination.let_out(process)


def spellings(secret):
    """A secret as it stands, as JSON and Python escape it, and in the other Unicode normal form."""
    return {secret, json.dumps(secret)[1:-1], ascii(secret)[1:-1], unicodedata.normalize("NFD", secret)}


@pytest.mark.parametrize("name", CANARIES)
def test_hidden_and_shown(service, mode, name):
    """What the mode hides is nowhere; what it does not hide is there, so that the look would have found it."""
    _, let_out = service
    needed, secret, _ = CANARIES[name]
    found = [place for one in spellings(secret) if (place := let_out.find(one)) >= 0]
    hidden = ORDER.index(mode) >= ORDER.index(needed)
    assert bool(found) is not hidden, let_out[max(found[0] - 300, 0) : found[0] + 100] if found else "it is nowhere"


def test_all_ways_came_through(service):
    """What is looked at is the whole: kept lines, tracebacks, what was given back, what came after the failure."""
    destination, let_out = service
    for part in (
        "it broke",
        "printed",
        "with a traceback",
        "it failed: ",
        "of a logger of its own",
        "with what is bound",
    ):
        assert part in let_out
    for part in ("below", "[AUDIO_DELTA] frame", "after the failure", "below, with a traceback"):
        assert (part in let_out) is destination.gives_back
