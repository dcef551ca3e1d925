"""`ChannelTestCase`: a test whose messages stay in memory, and can be looked at and brought to their consumers."""

from __future__ import annotations

import copy
import random
import string
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ClassVar

from django.test.testcases import TestCase, TransactionTestCase

from uvicorn.channels1.asgi import ChannelLayerWrapper, channel_layers
from uvicorn.channels1.calls import run
from uvicorn.channels1.channel import Group
from uvicorn.channels1.memory import ChannelLayer
from uvicorn.channels1.message import Message
from uvicorn.channels1.names import DEFAULT_CHANNEL_LAYER
from uvicorn.channels1.pending import pending_message_store
from uvicorn.channels1.routing import Router, include

__all__ = ["ChannelTestCase", "ChannelTestCaseMixin", "Client", "TransactionChannelTestCase", "apply_routes"]


class ChannelTestCaseMixin:
    """What puts a layer in memory in the place of each layer, for the time of a test.

    Attributes:
        test_channel_aliases: which layers.
    """

    test_channel_aliases: ClassVar[Sequence[str]] = (DEFAULT_CHANNEL_LAYER,)

    def run(self, result: Any = None) -> Any:
        """Run the test, its setUp and its tearDown."""
        old_layers = {}
        for alias in self.test_channel_aliases:
            routing = channel_layers[alias].routing
            if isinstance(routing, list):
                routing = routing[:]
            layer = ChannelLayerWrapper(ChannelLayer(), alias, routing)
            old_layers[alias] = channel_layers.set(alias, layer)
        try:
            return super().run(result)  # type: ignore[misc]  # of the test case
        finally:
            for alias, old in old_layers.items():
                channel_layers.set(alias, old)

    def get_next_message(self, channel: str, alias: str = DEFAULT_CHANNEL_LAYER, require: bool = False) -> Any:
        """Take the next message out of a channel; None if there is none.

        Raises: AssertionError if there is none and `require` is set.
        """
        message = _next_message(channel, alias)
        assert message is not None or not require, f"there is no message on the channel {channel}"
        return message


class ChannelTestCase(ChannelTestCaseMixin, TestCase):  # type: ignore[misc]  # Django has no types
    """A test in a transaction."""


class TransactionChannelTestCase(ChannelTestCaseMixin, TransactionTestCase):  # type: ignore[misc]  # likewise
    """A test whose transactions are real."""


class Client:
    """What stands for somebody who sends messages and gets replies.

    Attributes:
        reply_channel: the name of its channel.
    """

    def __init__(self, alias: str = DEFAULT_CHANNEL_LAYER) -> None:
        self.reply_channel = alias + "".join(random.choices(string.ascii_letters, k=10))
        self.alias = alias

    @property
    def channel_layer(self) -> Any:
        """The layer."""
        return channel_layers[self.alias]

    def get_next_message(self, channel: str) -> Any:
        """Take the next message out of a channel; None if there is none."""
        return _next_message(channel, self.alias)

    def get_consumer_by_channel(self, channel: str) -> Any:
        """Return the consumer of a channel; None if there is none."""
        found = self.channel_layer.router.match(Message({"text": ""}, channel, self.channel_layer))
        return found[0] if found else None

    def send(self, to: str, content: Mapping[str, Any] | None = None) -> None:
        """Send a message to a channel; replies to it come here."""
        made = copy.deepcopy(dict(content or {}))
        made.setdefault("reply_channel", self.reply_channel)
        self.channel_layer.send(to, made)

    def consume(self, channel: str, fail_on_none: bool = True) -> Any:
        """Bring the next message of a channel to its consumer; what that sends goes out when it has returned.

        Returns: what it returns. Raises: what it raises; AssertionError if there is no message, or no consumer.
        """
        message = self.get_next_message(channel)
        if message is None:
            assert not fail_on_none, f"there is no message on the channel {channel}"
            return None
        found = self.channel_layer.router.match(message)
        if found is None:
            assert not fail_on_none, f"there is no consumer for {message}"
            return None
        result = run(found[0], message, found[1], keeps_connections=True)
        pending_message_store.send_and_flush()
        return result

    def send_and_consume(
        self, channel: str, content: Mapping[str, Any] | None = None, fail_on_none: bool = True
    ) -> Any:
        """Send a message, and bring it to its consumer."""
        self.send(channel, content)
        return self.consume(channel, fail_on_none=fail_on_none)

    def receive(self) -> Any:
        """Return the content of the next reply; None if there is none."""
        message = self.get_next_message(self.reply_channel)
        return message.content if message is not None else None

    def join_group(self, group_name: str) -> None:
        """Become a member of a group."""
        Group(group_name, channel_layer=self.channel_layer).add(self.reply_channel)


class apply_routes:
    """Other routes for a block, a test or the tests of a class.

    Args:
        routes: a route, a list of routes, or a list of such lists.
        aliases: of the layers that they are for.
    """

    def __init__(self, routes: Any, aliases: Sequence[str] = (DEFAULT_CHANNEL_LAYER,)) -> None:
        self.routes = routes
        self._aliases = aliases
        self._old: list[tuple[str, Any]] = []

    def __enter__(self) -> None:
        routes = list(self.routes) if isinstance(self.routes, (list, tuple)) else [self.routes]
        routes = [include(entry) if isinstance(entry, (list, tuple)) else entry for entry in routes]
        for alias in self._aliases:
            layer = channel_layers[alias]
            self._old.append((alias, layer.routing))
            layer.routing, layer.router = routes, Router(routes)

    def __exit__(self, *args: object) -> None:
        while self._old:
            alias, routing = self._old.pop()
            layer = channel_layers[alias]
            layer.routing, layer.router = routing, Router(routing)

    enter = __enter__
    exit = __exit__

    def __call__(self, decorated: Any) -> Any:
        if isinstance(decorated, type):
            return self._for_class(decorated)

        @wraps(decorated)
        def with_routes(*args: Any, **kwargs: Any) -> Any:
            with self:
                return decorated(*args, **kwargs)

        return with_routes

    def _for_class(self, case: Any) -> Any:
        set_up: Callable[[Any], None] = case.setUp
        tear_down: Callable[[Any], None] = case.tearDown

        def enter_and_set_up(test: Any) -> None:
            self.__enter__()
            set_up(test)

        def tear_down_and_exit(test: Any) -> None:
            try:
                tear_down(test)
            finally:
                self.__exit__()

        case.setUp, case.tearDown = enter_and_set_up, tear_down_and_exit
        return case


def _next_message(channel: str, alias: str) -> Any:
    layer = channel_layers[alias]
    name, content = layer.receive([channel])
    return None if name is None else Message(content, name, layer)
