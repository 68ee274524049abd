"""A service that logs secrets in every way there is, in one call that fails and in one that ends well.

Reads `[[place, text], …]` from the file that its first argument names. Logs nothing else that matters.
"""

import json
import logging
import sys
from pathlib import Path

import otel_logging

otel_logging.configure()
app = logging.getLogger("app")
texts = json.loads(Path(sys.argv[1]).read_text("utf-8"))


class Told:
    """An object whose text is the secret."""

    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text

    def __repr__(self):
        return f"<{self.text}>"


def fail(text):
    """Raise from another exception, which says it too."""
    try:
        raise KeyError(text)
    except KeyError as error:
        raise RuntimeError(f"it failed: {text}") from error


def in_every_way(text):
    """Below the level, dropped as a frame, and kept: as text, argument, extra, exception, name of a logger."""
    app.debug(f"below {text}")
    app.debug("below %s", text)
    app.debug("below %(a)s", {"a": text})
    app.debug("below", extra={"about": text, "deep": {"raw": [text, {"more": Told(text)}]}})
    app.info(f"[AUDIO_DELTA] frame {text}")
    app.info("[AUDIO_DELTA] frame %s", Told(text))
    app.info("[AUDIO_DELTA] frame", extra={"about": text, "deep": {"raw": [text]}})
    logging.getLogger(f"app.{text}").debug("below, of a logger of its own")
    logging.getLogger(f"app.{text}").info("[AUDIO_DELTA] of a logger of its own")
    app.info(text)
    app.info("kept %s", text)
    print("printed", text)
    app.info("kept %r", [Told(text)])
    app.info("kept", extra={"about": text, "deep": {"raw": [text, (text,), {"more": text}]}, "object": Told(text)})
    app.warning({"body": text})
    logging.getLogger(f"app.{text}").warning("kept, of a logger of its own")
    try:
        fail(text)
    except RuntimeError:
        app.warning("with a traceback", exc_info=True)
        app.debug("below, with a traceback", exc_info=True)
        app.info("[AUDIO_DELTA] with a traceback", exc_info=True)


for call, wrong in (("CA" + "a1" * 16, True), ("CA" + "b2" * 16, False)):
    with otel_logging.call(call):
        for text in texts:
            in_every_way(text)
        otel_logging.bind(**{f"bound{number}": text for number, text in enumerate(texts)})
        app.debug("below, with what is bound")
        app.info("[AUDIO_DELTA] with what is bound")
        app.warning("with what is bound")
        if wrong:
            try:
                fail(texts[0])
            except RuntimeError:
                app.exception("it broke")
            app.debug("below, after the failure: %s", texts[0])
try:
    with otel_logging.call("CA" + "c3" * 16, about=texts[0]):
        app.debug("below %s", texts[0])
        fail(texts[0])
except RuntimeError:
    pass
otel_logging.shutdown()
