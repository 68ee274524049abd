"""G.711 mu-law, as telephone networks carry it: encode, loudness, and synthesised sound.

A frame is 160 bytes: 20 ms at 8,000 samples a second. Pure Python; no files, no network, no logging.
"""

from __future__ import annotations

import math
import random

FRAME = 160
RATE = 8000
SILENCE = b"\xff" * FRAME

_BIAS = 0x84
_CLIP = 32635


def encode(sample: int) -> int:
    """One mu-law byte for a linear sample of -32768 to 32767."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), _CLIP) + _BIAS
    exponent = magnitude.bit_length() - 8
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return ~(sign | (exponent << 4) | mantissa) & 0xFF


def decode(byte: int) -> int:
    """The linear sample of a mu-law byte."""
    byte = ~byte & 0xFF
    magnitude = (((byte & 0x0F) << 3) + _BIAS) << ((byte >> 4) & 0x07)
    return _BIAS - magnitude if byte & 0x80 else magnitude - _BIAS


_SQUARES = tuple(decode(byte) ** 2 for byte in range(256))


def rms(frame: bytes) -> float:
    """Loudness of a frame, 0 for silence to about 32,000."""
    return math.sqrt(sum(map(_SQUARES.__getitem__, frame)) / len(frame)) if frame else 0.0


def speech(pitch: float, frames: int, seed: int = 0) -> list[bytes]:
    """Something that a voice detector takes for a voice: a wavering tone with two overtones and some breath."""
    chance = random.Random(seed)
    result = []
    phase = 0.0
    for number in range(frames):
        loudness = 6000 + 2500 * math.sin(number / 4)
        step = 2 * math.pi * (pitch * (1 + 0.08 * math.sin(number / 7))) / RATE
        samples = bytearray(FRAME)
        for index in range(FRAME):
            phase += step
            tone = math.sin(phase) + 0.5 * math.sin(2 * phase) + 0.25 * math.sin(3 * phase)
            samples[index] = encode(int(loudness * tone * 0.6 + chance.uniform(-300, 300)))
        result.append(bytes(samples))
    return result


def line_noise(frames: int, seed: int = 0) -> list[bytes]:
    """What a telephone line sounds like while nobody speaks."""
    chance = random.Random(seed)
    return [bytes(encode(int(chance.gauss(0, 40))) for _ in range(FRAME)) for _ in range(frames)]
