"""The small page for granian's own interface."""

from __future__ import annotations

from work import PAGE


async def hello(scope, protocol):
    protocol.response_bytes(200, [("content-type", "text/plain")], PAGE)
