"""What becomes of a container's standard output: Docker's awslogs and json-file drivers, and the Datadog Agent.

Written from what they document and do, as no container runs here: the sizes at which they cut are theirs.

- `awslogs` reads lines of up to 262,118 bytes (256 KiB less the 26 that CloudWatch counts for each event) and makes
  one event of each; what is longer becomes several. It does not know about JSON.
- `json-file` cuts lines into pieces of 16 KiB; only the last piece of a line ends with a newline.
- The Agent reads those files (or CRI's), puts the pieces together again, and cuts what is above its own limit into
  several logs, marked as truncated.

What Datadog makes of a log is `datadog_preprocessing`'s.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT_BYTES = 262_144 - 26
PIECE_BYTES = 16 * 1024
AGENT_BYTES = 900_000
OLD_AGENT_BYTES = 256_000
TRUNCATED = "...TRUNCATED..."
_PUT_BYTES, _PUT_EVENTS = 1_048_576, 10_000


def pieces(output: bytes, size: int) -> Iterator[tuple[bytes, bool]]:
    """Docker's copying of a stream: lines without their newline, those above `size` in parts; and whether it ended."""
    for line in output.split(b"\n")[:-1]:
        parts = [line[start : start + size] for start in range(0, max(len(line), 1), size)]
        for number, part in enumerate(parts, 1):
            yield part, number == len(parts)


def awslogs(output: bytes, client: Any, group: str, stream: str) -> int:
    """Put what was printed into CloudWatch as the driver does; gives the number of events. Empty lines are none."""
    client.create_log_group(logGroupName=group)
    client.create_log_stream(logGroupName=group, logStreamName=stream)
    now = int(time.time() * 1000)
    texts = [part.decode("utf-8", "replace") for part, _ in pieces(output, EVENT_BYTES) if part]
    batch: list[dict[str, Any]] = []
    size = 0
    for text in texts:
        more = len(text.encode()) + 26
        if size + more > _PUT_BYTES or len(batch) >= _PUT_EVENTS:
            client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=batch)
            batch, size = [], 0
        batch.append({"timestamp": now, "message": text})
        size += more
    if batch:
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=batch)
    return len(texts)


def json_file(output: bytes) -> str:
    """The log file that the json-file driver writes."""
    entries = (
        {"log": part.decode("utf-8", "surrogateescape") + ("\n" if ended else ""), "stream": "stdout"}
        for part, ended in pieces(output, PIECE_BYTES)
    )
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def agent(log_file: str, limit: int = AGENT_BYTES) -> Iterator[str]:
    """The logs that the Agent makes of such a file: pieces together again, cut at its limit."""
    waiting = b""
    for entry in log_file.splitlines():
        text: str = json.loads(entry)["log"]
        waiting += text.encode("utf-8", "surrogateescape")
        if text.endswith("\n"):
            line, waiting = waiting[:-1], b""
            parts = [line[start : start + limit] for start in range(0, max(len(line), 1), limit)]
            for number, part in enumerate(parts, 1):
                before = TRUNCATED if number > 1 else ""
                after = TRUNCATED if number < len(parts) else ""
                yield before + part.decode("utf-8", "replace") + after
