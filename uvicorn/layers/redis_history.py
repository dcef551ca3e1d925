"""Histories of groups in Redis: a stream of the latest messages for each group, and a hash with epoch and offset.

    {PREFIX:g:GROUP}:history    stream: the latest messages, each with its offset, and bytes of all up to it: none if it
                                was kept before there was such a bound, and then it goes first
    {PREFIX:g:GROUP}:state      hash: `epoch`; `last`, the offset of the latest message; `bytes` of all messages so far

What is in braces is the name of the group's pub/sub channel: so a cluster has all three on one node, and one script
keeps a message, counts it and publishes it with its offset, in one step. A message is never published that is not kept,
nor the other way round. Both keys live for the history's seconds after they were used last; processes that have members
use them now and then.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any, Final, Protocol

from uvicorn.layers.encoding import unpack
from uvicorn.layers.history import History, Kept, Position, Recalled
from uvicorn.layers.redis_scripts import Script

__all__ = ["KEEP", "keep_arguments", "keys_of", "recall"]

#: What both scripts begin with: forget what is too old, and have an epoch. ARGV: milliseconds, new epoch.
_BEGIN: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch = redis.call('HGET', KEYS[2], 'epoch')
local last = tonumber(redis.call('HGET', KEYS[2], 'last') or 0)
local function begin()
    epoch, last = ARGV[2], 0
    redis.call('DEL', KEYS[1])
    redis.call('HSET', KEYS[2], 'epoch', epoch, 'last', 0, 'bytes', 0)
end
local function settle()
    redis.call('XTRIM', KEYS[1], 'MINID', now - tonumber(ARGV[1]))
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    redis.call('PEXPIRE', KEYS[2], ARGV[1])
end
if not epoch then begin() end
"""

#: KEYS: stream, state. ARGV: milliseconds, new epoch, most messages, pub/sub channel, its command, content, most bytes.
#: What is published is a list of msgpack: epoch, offset, content. Returns the offset.
KEEP: Final = Script(
    _BEGIN
    + """
local offset = redis.call('HINCRBY', KEYS[2], 'last', 1)
local size, most = string.len(ARGV[6]), tonumber(ARGV[7])
local total = redis.call('HINCRBY', KEYS[2], 'bytes', size)
redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[3], '*', 'offset', offset, 'content', ARGV[6], 'until', total)
while total > most do
    local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
    local before = tonumber(first[2][6] or 0) - string.len(first[2][4])
    if total - before <= most or total - before <= size then break end
    redis.call('XDEL', KEYS[1], first[1])
end
settle()
redis.call(ARGV[5], ARGV[4], string.char(147) .. cmsgpack.pack(epoch) .. cmsgpack.pack(offset) .. ARGV[6])
return offset
"""
)

#: KEYS: stream, state. ARGV: milliseconds, new epoch, most messages, known epoch, known offset. Returns epoch, last
#: offset, time, and what is kept after the known offset, the latest first. A history that has lost what is known, since
#: another Redis has taken over that had not got it yet, begins a new epoch.
RECALL: Final = Script(
    _BEGIN
    + """
local known = 0
if epoch == ARGV[4] then
    known = tonumber(ARGV[5])
    if known > last then
        begin()
        known = 0
    end
end
settle()
local count = math.min(tonumber(ARGV[3]), last - known)
local found = {}
if count > 0 then found = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', count) end
return {epoch, last, tostring(now), found}
"""
)


class Runner(Protocol):
    """What runs scripts."""

    def run(self, script: Script, keys: tuple[str, ...], *arguments: Any) -> asyncio.Future[Any]:
        """Run a script. Raises: ChannelLayerUnavailable, at once or when awaited."""


def keys_of(channel: str) -> tuple[str, str]:
    """Return the keys of the group with this pub/sub channel: in a cluster on the node that has the channel."""
    _, brace, rest = channel.partition("{")
    tag = channel if brace and rest.partition("}")[1] and rest[:1] != "}" else f"{{{channel}}}"
    return f"{tag}:history", f"{tag}:state"


def keep_arguments(channel: str, command: str, history: History, packed: bytes) -> tuple[Any, ...]:
    """Return what KEEP takes."""
    return _milliseconds(history), secrets.token_hex(8), history.messages, channel, command, packed, history.bytes


async def recall(runner: Runner, channel: str, history: History, known: Position | None) -> Recalled:
    """Ask for what is kept. Raises: ChannelLayerUnavailable."""
    epoch, offset = known or ("", 0)
    words = (_milliseconds(history), secrets.token_hex(8), history.messages, epoch, offset)
    found_epoch, last, now, found = await runner.run(RECALL, keys_of(channel), *words)
    kept = []
    for entry, pairs in reversed(found):
        fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
        age = (int(now) - int(entry.partition(b"-")[0])) / 1000
        content = fields[b"content"]
        kept.append(Kept(int(fields[b"offset"]), max(0.0, age), unpack(content), len(content)))
    return Recalled(found_epoch.decode(), last, kept)


def _milliseconds(history: History) -> int:
    return int(history.seconds * 1000)
