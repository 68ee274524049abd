"""The routes: what a browser gets, and when."""

from __future__ import annotations

import asyncio

from otel_logging.web import app


def test_a_browser_gets_time_to_paint(monkeypatch):
    """After the first piece of a page nothing comes for a moment; after that nothing is waited for."""
    did = []

    async def sleep(seconds):
        did.append(seconds)

    monkeypatch.setattr(app.asyncio, "sleep", sleep)

    async def read():
        async for piece in app.paced(iter(["first", "second", "third"])):
            did.append(piece)

    asyncio.run(read())
    assert did == ["first", app.FIRST_PAINT, "second", 0, "third", 0]
