"""Entry points that OTel's auto-instrumentation calls, before and after the instrumentors.

An exception in a hook would abort the rest of that boot, other people's parts included: nothing is raised from here.
"""

from __future__ import annotations

import os

from otel_logging import settings, trouble
from otel_logging.export import header_reader


def before_otel() -> None:
    """Before OTel is initialised: what it says of header variables holds their secrets."""
    header_reader.hush()


def pre_instrument() -> None:
    """Keep the official handler away: two handlers would export every record twice."""
    try:
        header_reader.hush()
        settings.note_foreign_defaults()
        if settings.read().enabled:
            os.environ["OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION"] = "false"
    except Exception as error:
        trouble.report("boot", f"the boot hook failed: {trouble.sentence(error)}")


def post_instrument() -> None:
    """Set this process up, unless that has been done or the process is only there to start another."""
    try:
        from otel_logging.boot.bystanders import is_bystander

        if is_bystander():
            return
        from otel_logging.boot.configure import configure, configured

        if configured() is None:
            configure()
    except Exception as error:
        trouble.report("boot", f"logging is not set up: {trouble.sentence(error)}")
