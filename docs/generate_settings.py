"""Writes docs/reference/settings.md from the table of settings in the code, so that the two cannot differ.

python docs/generate_settings.py
"""  # noqa: INP001 (a script, not a package)

from __future__ import annotations

from pathlib import Path

from otel_logging.settings import TABLE

PAGE = Path(__file__).parent / "reference" / "settings.md"

_HEAD = """\
# Settings

<!-- Generated from otel_logging/settings.py by docs/generate_settings.py. Change the table there. -->

Each setting is an environment variable and a keyword of `otel_logging.configure()`; a keyword wins over the variable.
An empty variable counts as unset. A wrong value never stops the application: one warning names the variable, the value,
what is valid and what is used instead.

| variable | keyword | default | meaning |
|---|---|---|---|
"""

_TAIL = """
Understood as well, as OpenTelemetry defines them: `OTEL_SDK_DISABLED`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_CONFIG_FILE`,
`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT`, `OTEL_EXPORTER_OTLP_LOGS_PROTOCOL` and the exporter's
other `OTEL_EXPORTER_OTLP_*` variables (headers, certificates, compression, timeout). A timeout below 1000 is in
seconds, as OpenTelemetry for Python has it; from there on in milliseconds, as the specification has it.

With `PYTHONUNBUFFERED` set or not, every console line is written through at once.
"""


def page() -> str:
    """The whole page."""
    rows = [f"| `{row.variable}` | `{row.name}` | {_cell(row.default)} | {_cell(row.sentence)} |" for row in TABLE]
    return _HEAD + "\n".join(rows) + "\n" + _TAIL


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
