"""Makes a large local store, fast: records of voice calls as a fleet of five services writes them.

Of 1.25 million records a fifth are of many short calls of 25 records, the rest of few with 2,000, half of which come as
one burst at the call's end, as the flight recorder gives them back. Eleven processes write one batch a second, or 512
records at once; one record in twenty carries only its trace.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FULL = 1_250_000
SHORT, LONG = 25, 2_000  # records of a call
HOURS = 4
BATCH = 512
BEGIN = 1_705_865_426_000_000_000
MAX_FILE_BYTES = 64 * 1024 * 1024
PROCESSES = [
    (service, pid)
    for service, count in (("voice-gateway", 2), ("voice-agent", 4), ("tools", 2), ("worker", 2), ("billing", 1))
    for pid in range(100, 100 + count)
]
TEXTS = (
    "📞 [START] media stream opened, streamSid=MZ{n:032x}, tracks=inbound",
    "[STT] final transcript after {n} ms: I would like to move my appointment to next week",
    "[LLM] first token after {n} ms, model=realtime-preview, prompt_tokens={m}",
    "[TTS] synthesised {n} ms of audio in {m} ms, voice=alloy, queue=3",
    "[TOOL] crm.lookup took {n} ms, found customer_id={m}",
    "[TURN] caller spoke for {n} ms, agent answered after {m} ms",
    "no CRM match for the caller, trying the phone book next, attempt {m}",
    "frame {n}: rms=0.0{m}, energy below threshold, buffered",
)
LEVELS = ((9, "INFO"),) * 17 + ((13, "WARN"),) * 2 + ((17, "ERROR"),)
NEEDLE = "carrier refused the transfer"
"""A text that stands in one record of a thousand."""


class Made(NamedTuple):
    """What was made: one call of each kind to look for, and how much there is."""

    short: str
    long: str
    records: int
    bytes: int


def make(store: Path, records: int = FULL, seed: int = 6) -> Made:
    """Write about that many records into `store`."""
    chance = random.Random(seed)
    short, long = max(records // 125, 2), max(records // 2500, 2)
    plans: list[list[tuple[int, str, str]]] = [[] for _ in PROCESSES]
    calls: list[str] = []
    for number in range(short + long):
        size = SHORT if number < short else LONG
        call = f"CA{chance.getrandbits(128):032x}"
        calls.append(call)
        begin = BEGIN + chance.randrange(HOURS * 3600) * 10**9
        taking_part = chance.sample(range(len(PROCESSES)), 3)
        length = 180 * 10**9
        for place in range(size):
            process = taking_part[0 if place % 5 < 3 else place % 5 - 2]
            burst = size == LONG and place % 2
            at = begin + length + place if burst else begin + length * place // size
            plans[process].append((at, call, f"{number:016x}"))
    written = count = 0
    (store / "logs").mkdir(parents=True, mode=0o700)
    for (service, pid), plan in zip(PROCESSES, plans, strict=True):
        plan.sort()
        count += len(plan)
        written += _write(store, service, pid, _lines(service, pid, plan, chance))
    return Made(calls[short // 2], calls[short + long // 2], count, written)


def _write(store: Path, service: str, pid: int, lines: Iterator[str]) -> int:
    total, size, number, file = 0, MAX_FILE_BYTES, 0, None
    for line in lines:
        if size >= MAX_FILE_BYTES:
            if file is not None:
                file.close()
            name = f"{service}-{pid}-20240121T1930{number:02d}000000Z.jsonl"
            file = (store / "logs" / name).open("wb")
            size, number = 0, number + 1
        data = line.encode()
        if file is not None:
            file.write(data)
        size += len(data)
        total += len(data)
    if file is not None:
        file.close()
    return total


def _lines(service: str, pid: int, plan: list[tuple[int, str, str]], chance: random.Random) -> Iterator[str]:
    resource = {"service.name": service, "service.instance.id": f"{service}-{pid}", "host.name": "edge-1"}
    attributes = ",".join(
        f'{{"key":{json.dumps(key)},"value":{{"stringValue":{json.dumps(value)}}}}}' for key, value in resource.items()
    )
    head = f'{{"resourceLogs":[{{"resource":{{"attributes":[{attributes}]}},"scopeLogs":[{{"scope":{{"name":"'
    head += f'server.{service}"}},"logRecords":['
    batch: list[str] = []
    second = 0
    for at, call, span in plan:
        if batch and (at // 10**9 != second or len(batch) >= BATCH):
            yield head + ",".join(batch) + "]}]}]}\n"
            batch.clear()
        second = at // 10**9
        batch.append(_record(at, call, span, chance))
    if batch:
        yield head + ",".join(batch) + "]}]}]}\n"


def _record(at: int, call: str, span: str, chance: random.Random) -> str:
    draw = chance.getrandbits(30)
    number, text = LEVELS[draw % 20]
    body = TEXTS[draw & 7].format(n=draw >> 12 & 4095, m=draw >> 20)
    if draw % 1009 == 0:
        body = f"{NEEDLE}, cause={draw >> 20}"
    name = "" if draw % 21 == 0 else f'{{"key":"call_sid","value":{{"stringValue":"{call}"}}}},'
    return (
        f'{{"timeUnixNano":"{at}","observedTimeUnixNano":"{at + 150_000}","severityNumber":{number},'
        f'"severityText":"{text}","body":{{"stringValue":"{body}"}},"attributes":[{name}'
        f'{{"key":"code.function.name","value":{{"stringValue":"handle_media"}}}},'
        f'{{"key":"code.line.number","value":{{"intValue":"{draw & 511}"}}}},'
        f'{{"key":"logger.name","value":{{"stringValue":"server.media_ws_ai"}}}}],'
        f'"flags":1,"traceId":"{call[2:]}","spanId":"{span}"}}'
    )
