"""What the tests of interleavings put in the place of others: consumers, Gunicorn's hooks, and the acceptor."""

import asyncio
import queue
import threading
from collections import Counter

from uvicorn.errors import ReplyError

__all__ = ["COMMANDS", "REPLIES", "Acceptor", "Call", "CountingHooks", "chosen"]

REPLIES = {
    "whole": lambda tag: {"status": 200, "content": tag},
    "first": lambda tag: {"status": 200, "content": tag, "more_content": True},
    "more": lambda tag: {"content": b"x" * 100_000, "more_content": True},
    "last": lambda tag: {"content": b"end"},
}
COMMANDS = (*REPLIES, "receive", "return", "keep", "raise")


class Call:
    """One call of a consumer, which does what the test says.

    Attributes:
        is_ready: waits for the next command.
        kept: the channel, if it is kept when the call has returned.
        sent: the commands whose `send` did not raise.
    """

    replies = REPLIES

    def __init__(self, message, loop=None):
        self.channel_name = message["channel"]
        self.tag = message["path"].encode()
        self.thread_id = threading.get_ident()
        self.is_ready = self.is_over = False
        self.kept = None
        self.sent = []
        self._channel, self._body = message["reply_channel"], message.get("body_channel")
        self._commands = queue.SimpleQueue() if loop is None else asyncio.Queue()
        self.is_async = loop is not None

    def tell(self, command):
        self.is_ready = False
        (self._commands.put_nowait if self.is_async else self._commands.put)(command)

    def run(self):
        try:
            while True:
                self.is_ready = True
                command = self._commands.get()
                if self._is_last(command):
                    return
                try:
                    if command != "receive":
                        self._channel.send(self.replies[command](self.tag))
                        self.sent.append(command)
                    elif self._body is not None:
                        self._body.receive()
                except ReplyError:
                    pass  # a reply that is not allowed just then: raised on the consumer's line, and all goes on
        finally:
            self.end()

    async def run_async(self):
        try:
            while True:
                self.is_ready = True
                command = await self._commands.get()
                if self._is_last(command):
                    return
                try:
                    if command != "receive":
                        waiting = self._channel.send(self.replies[command](self.tag))
                        self.sent.append(command)
                        await waiting
                    elif self._body is not None:
                        await self._body.receive()
                except ReplyError:
                    pass
        finally:
            self.end()

    def _is_last(self, command):
        if command == "raise":
            raise RuntimeError("told to")
        if command == "keep":
            self.kept = self._channel
        return command in ("return", "keep")

    def end(self):
        assert not self.is_over
        self.is_ready = False
        self.is_over = True
        self._channel = self._body = None


class CountingHooks:
    """Gunicorn's request hooks: each request that is called has both, once."""

    def __init__(self):
        self.before_of, self.after_of = Counter(), Counter()

    def before(self, exchange):
        self.before_of[exchange] += 1

    def after(self, exchange):
        self.after_of[exchange] += 1


class Acceptor:
    """Where connections come from: the test makes them."""

    open = 0
    is_full = False

    def abort(self):
        pass

    def on_connection_lost(self, place):
        pass

    def resume(self, even_if_full=False):
        pass


def chosen(things, number):
    return things[number % len(things)] if things else None
