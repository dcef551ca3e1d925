"""Messages with a priority in Redis: which one a process gets is settled when it asks, and not when they are sent.

A stream knows one order only, that of arrival. So such a message waits in a sorted set beside the stream, and the
stream has a *token* for it, an entry without an id. Who reads a token takes the most urgent message there is, and the
two belong together from then on: whoever is delivered the same token again gets the same message.

    PREFIX:{CHANNEL}:ranked     sorted set by 100 - priority: what waits, with the time of its arrival in front
    PREFIX:{CHANNEL}:taken      hash, entry of the token -> message
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from uvicorn.layers.redis_publisher import Publisher
from uvicorn.layers.redis_scripts import Script

__all__ = ["TAKE", "with_messages"]

_ID: Final = 16  # bytes of an id, in front of a message

#: KEYS: stream. ARGV: entries of tokens. Returns the message of each: id and content.
TAKE: Final = Script(
    """
local found = {}
for number, entry in ipairs(ARGV) do
    local got = redis.call('HGET', KEYS[1] .. ':taken', entry)
    if not got then
        local best = redis.call('ZPOPMIN', KEYS[1] .. ':ranked')
        got = best[1] and string.sub(best[1], 18) or ''
        redis.call('HSET', KEYS[1] .. ':taken', entry, got)
    end
    found[number] = got
end
return found
"""
)

Entries = Sequence["tuple[bytes, Mapping[bytes, bytes] | None]"]


async def with_messages(publisher: Publisher, stream: str, entries: Entries) -> Entries:
    """Return what was read from a stream, with messages in the place of tokens.

    Raises: ChannelLayerUnavailable; what was read is then delivered again.
    """
    tokens = [entry for entry, fields in entries if fields is not None and not fields.get(b"id")]
    if not tokens:
        return entries
    answers: list[Any] = await publisher.run(TAKE, (stream,), *tokens)
    found = dict(zip(tokens, answers, strict=True))
    return [
        (entry, {b"id": found[entry][:_ID], b"content": found[entry][_ID:]} if entry in found else fields)
        for entry, fields in entries
    ]
