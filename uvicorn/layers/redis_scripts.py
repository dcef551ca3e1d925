"""What Redis does in one step for us: Lua scripts, and the keys that they work on.

    PREFIX:g:GROUP              pub/sub: the messages of a group
    PREFIX:n:NODE               pub/sub: what is asked of one process
    PREFIX:{CHANNEL}            stream: the messages of a channel, with one consumer group
    PREFIX:{CHANNEL}.dead       stream: those that were given up
    PREFIX:{CHANNEL}:delayed    sorted set by due time (milliseconds of Redis' clock): what is not due yet
    PREFIX:{CHANNEL}:refused:NODE   the last message of a process that had no room, for ten seconds
    PREFIX:{NODE}:delayed       the same, for the reply channels of one process
    {PREFIX:g:GROUP}:...        the history of a group: `redis_history.py`

All keys of a channel have the same part in braces, so that a cluster keeps them on one node.
"""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = ["DEAD", "DELAY", "DONE", "DUE", "MOVE", "PUT", "Keys", "Script"]


class Script:
    """A Lua script, known to Redis by its hash."""

    def __init__(self, text: str) -> None:
        self.text: Final = text
        self.sha: Final = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Keys:
    """The names of what we have in Redis."""

    def __init__(self, prefix: str) -> None:
        self.prefix: Final = prefix
        self.consumers: Final = "consumers"  # the one consumer group of each stream

    def group(self, name: str) -> str:
        """Return the pub/sub channel of a group."""
        return f"{self.prefix}:g:{name}"

    def node(self, node: str) -> str:
        """Return the pub/sub channel of a process."""
        return f"{self.prefix}:n:{node}"

    def stream(self, channel: str) -> str:
        """Return the stream of a channel."""
        return f"{self.prefix}:{{{channel}}}"

    def dead(self, channel: str) -> str:
        """Return the stream of what was given up."""
        return f"{self.prefix}:{{{channel}}}.dead"

    def refused(self, channel: str, node: str) -> str:
        """Return where a process notes that a channel was full."""
        return f"{self.prefix}:{{{channel}}}:refused:{node}"

    def delayed(self, name: str) -> str:
        """Return the sorted set of what is not due yet, of a channel or a process."""
        return f"{self.prefix}:{{{name}}}:delayed"


#: Messages that wait: those in the stream but for the ones that a consumer has.
_WAITING: Final = """
local function waiting(key, group)
    local length = redis.call('XLEN', key)
    if length == 0 then return 0 end
    local pending = redis.pcall('XPENDING', key, group)
    if type(pending) == 'table' and not pending.err and type(pending[1]) == 'number' then
        return length - pending[1]
    end
    return length
end
"""

#: Adds a message to a stream; of one with a priority a token, and itself to the sorted set (`redis_priorities.py`).
_ADD: Final = """
local added = 0
local function add(key, id, content)
    if string.sub(id, 1, 1) ~= 'p' then
        redis.call('XADD', key, '*', 'id', id, 'content', content)
        return
    end
    local now = redis.call('TIME')
    local order = string.format('%017.0f', now[1] * 1000000 + now[2] + added)
    added = added + 1
    redis.call('ZADD', key .. ':ranked', tonumber(string.sub(id, 2, 4)), order .. id .. content)
    redis.call('XADD', key, '*', 'id', '', 'content', '')
end
local function forget(key, entry, id)
    if string.sub(id, 1, 1) == 'p' then redis.call('HDEL', key .. ':taken', entry) end
end
"""

#: KEYS: stream, and where a process notes its refusals. ARGV: capacity, consumer group, the last refusal that the
#: process knew of, the number for one by this; id and content of each message. Returns how many there was room for. See
#: `redis_puts.py`.
PUT: Final = Script(
    _WAITING
    + _ADD
    + """
local count = (#ARGV - 4) / 2
local refused = KEYS[2] and redis.call('GET', KEYS[2])
local most = 0
if not refused or tonumber(refused) <= tonumber(ARGV[3]) then
    most = math.max(0, math.min(count, tonumber(ARGV[1]) - waiting(KEYS[1], ARGV[2])))
end
for number = 1, most do add(KEYS[1], ARGV[2 * number + 3], ARGV[2 * number + 4]) end
if KEYS[2] and most < count then
    redis.call('SET', KEYS[2], ARGV[4], 'PX', 10000)
elseif refused then
    redis.call('DEL', KEYS[2])
end
return most
"""
)

#: KEYS: sorted set. ARGV: milliseconds, what is kept, seconds of life of the set (0 for ever), most. Returns 1, or 0.
DELAY: Final = Script(
    """
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
local now = redis.call('TIME')
local due = now[1] * 1000 + math.floor(now[2] / 1000) + tonumber(ARGV[1])
redis.call('ZADD', KEYS[1], due, ARGV[2])
if tonumber(ARGV[3]) > 0 then
    local left = redis.call('TTL', KEYS[1])
    if left < tonumber(ARGV[3]) then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
end
return 1
"""
)

#: KEYS: sorted set, stream. ARGV: capacity, consumer group. Moves what is due into the stream, as long as it has room.
MOVE: Final = Script(
    _WAITING
    + _ADD
    + """
local now = redis.call('TIME')
local limit = now[1] * 1000 + math.floor(now[2] / 1000)
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', limit, 'LIMIT', 0, 100)
local moved = 0
for _, member in ipairs(found) do
    if waiting(KEYS[2], ARGV[2]) >= tonumber(ARGV[1]) then break end
    add(KEYS[2], string.sub(member, 1, 16), string.sub(member, 17))
    redis.call('ZREM', KEYS[1], member)
    moved = moved + 1
end
return moved
"""
)

#: KEYS: sorted set. Takes out what is due, and returns it.
DUE: Final = Script(
    """
local now = redis.call('TIME')
local limit = now[1] * 1000 + math.floor(now[2] / 1000)
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', limit, 'LIMIT', 0, 100)
for _, member in ipairs(found) do redis.call('ZREM', KEYS[1], member) end
return found
"""
)

#: KEYS: stream, stream or sorted set. ARGV: consumer group, entry, what to do ("", "again", "later"), id, content,
#: milliseconds. The message is done with; or it goes to the end of the stream, or is delayed. Returns 1 if it was ours.
DONE: Final = Script(
    _ADD
    + """
local ours = redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
if ours == 0 then return 0 end
forget(KEYS[1], ARGV[2], ARGV[4])
if ARGV[3] == 'again' then
    add(KEYS[1], ARGV[4], ARGV[5])
elseif ARGV[3] == 'later' then
    local now = redis.call('TIME')
    redis.call('ZADD', KEYS[2], now[1] * 1000 + math.floor(now[2] / 1000) + tonumber(ARGV[6]), ARGV[4] .. ARGV[5])
end
return 1
"""
)

#: KEYS: stream, dead. ARGV: consumer group, entry, id, content, why, most. The message is given up.
DEAD: Final = Script(
    _ADD
    + """
local ours = redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
if ours == 0 then return 0 end
forget(KEYS[1], ARGV[2], ARGV[3])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[6], '*', 'id', ARGV[3], 'content', ARGV[4], 'why', ARGV[5])
return 1
"""
)
