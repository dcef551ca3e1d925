"""Entries and applications of other shapes, made ours by who knows them."""

import pytest
from sockets import SocketClient

from uvicorn import Router, mount, route
from uvicorn.applications import shapes
from uvicorn.applications.mounting import as_application
from uvicorn.applications.routes import Include, LifecycleHooks
from uvicorn.bridge.consumer import Consumer


class Wordy:
    """A route of another shape: for the messages of sockets that say a word."""

    by_content = True
    hooks = LifecycleHooks()

    def __init__(self, word, consumer):
        self.word = word
        self.consumer = Consumer(consumer)

    def find_below(self, channel, path, message):
        return self.consumer if channel == "websocket.receive" and message["text"] == self.word else None

    def consumers(self):
        return [self.consumer]

    def moved(self, change):
        return Wordy(self.word, change(self.consumer).target)

    def pools_named(self):
        return []

    def channels(self):
        return {}


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr(shapes, "_entries", [])
    monkeypatch.setattr(shapes, "_wholes", [])
    shapes.register(
        entry=lambda given: Include(given, {}) if isinstance(given, Wordy) else given,
        whole=lambda loaded: [loaded] if isinstance(loaded, Wordy) else loaded,
    )


async def accept(message):
    message["reply_channel"].send({"accept": True})


async def one(message):
    message["reply_channel"].send({"text": f"one {message['order']}"})


async def two(message):
    message["reply_channel"].send({"text": f"two {message['order']}"})


def test_each_message_of_a_socket_goes_where_its_content_says(make_site):
    site = make_site([route("websocket.connect", accept), Wordy("1", one), mount("/", Router([Wordy("2", two)]))])
    client = SocketClient(site)
    for word in "12321":
        client.text(word)
    assert client.texts == ["one 1", "two 2", "two 4", "one 5"]
    assert [line for line in site.log.take("debug") if "No route for a message" in line] != []


def test_a_whole_application_of_another_shape():
    application = as_application(Wordy("1", one), is_whole=True)
    assert application.by_content
    assert application.find("websocket.receive", "/", {"text": "1"}).target is one


@pytest.mark.parametrize("routes", [[route("websocket.receive", one)], [mount("/", one)], one])
def test_where_no_route_asks_for_it_the_messages_of_a_socket_are_not_looked_at(routes):
    assert not as_application(routes).by_content
