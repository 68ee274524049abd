"""`--format html`: one call as one self-contained file, made by the room that makes the call page."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from otel_logging.cli import DONE, USAGE, common

if TYPE_CHECKING:
    from otel_logging.search.call_view import CallView


def write(view: CallView) -> int:
    """Write the page to stdout; returns the exit code."""
    try:
        # By name: nothing else of the command may load the page's templates.
        page = importlib.import_module("otel_logging.web.page")
        text = str(page.render_call_html(view))
    except ModuleNotFoundError as error:
        common.tell(f"--format html needs {error.name}: pip install 'otel-logging[web]'")
        return USAGE
    stream = getattr(sys.stdout, "buffer", None)
    if stream is None:
        sys.stdout.write(text)
    else:
        sys.stdout.flush()
        stream.write(text.encode("utf-8", "replace"))
        stream.flush()
    return DONE
