"""The demo's mu-law sound is real mu-law."""

from __future__ import annotations

from otel_logging.demo.server import audio


def test_known_codes():
    """Silence, the extremes and the sign bit are encoded as G.711 says."""
    assert audio.encode(0) == 0xFF
    assert audio.encode(32767) == 0x80
    assert audio.encode(-32768) == 0x00
    assert audio.encode(-1) == 0x7F


def test_every_code_survives_a_round_trip():
    """Decoding and encoding again gives the same byte, but for negative zero."""
    again = [audio.encode(audio.decode(byte)) for byte in range(256)]
    assert again == [0xFF if byte == 0x7F else byte for byte in range(256)]


def test_frames_are_twenty_milliseconds():
    """Speech and noise come in frames of 160 bytes, as many as asked for."""
    for frames in (audio.speech(120.0, 7), audio.line_noise(7)):
        assert [len(frame) for frame in frames] == [160] * 7


def test_a_voice_is_told_from_the_line():
    """The detector's threshold lies between every frame of speech and every frame of noise."""
    from otel_logging.demo.server.agent import LOUD

    assert min(audio.rms(frame) for frame in audio.speech(118.0, 60)) > LOUD
    assert max(audio.rms(frame) for frame in audio.line_noise(60)) < LOUD
    assert audio.rms(audio.SILENCE) == 0
    assert audio.rms(b"") == 0
