"""The bundled policies as JSON beside their YAML: people read and edit the one, a process that starts reads the other.

Reading YAML takes a tenth of the time that setting a process up takes. A test holds the two to each other; this makes
the JSON anew: `python -m otel_logging.policy.frozen`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "bundled"


def frozen(text: str) -> str:
    """What stands in the JSON file of a YAML file that holds `text`."""
    from otel_logging.policy.load import decode

    [document] = decode("bundled", text)
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def main() -> None:
    """Write the JSON of each bundled file."""
    for path in sorted(FOLDER.glob("*.yaml")):
        path.with_suffix(".json").write_text(frozen(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
