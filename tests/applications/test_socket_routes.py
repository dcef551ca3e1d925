"""Routes, mounts and includes lead the messages of sockets, too."""

import pytest

from uvicorn import asgi, include, mount, route, wsgi
from uvicorn.applications.mounting import as_application
from uvicorn.errors import ConsumerError
from uvicorn.messages import Message

SOCKET = ("websocket.connect", "websocket.receive", "websocket.disconnect")


def chat(message, room=None):
    message["seen"] = (message["channel"], room)


def page(environ, start_response):
    raise AssertionError("must not be called")


async def service(scope, receive, send):
    raise AssertionError("must not be called")


def find(application, channel, path, root_path=""):
    return application.find(channel, path, {"path": path, "root_path": root_path})


@pytest.mark.parametrize("channel", SOCKET)
def test_a_named_group_reaches_the_consumer_of_each_message(channel):
    routes = as_application([include([route(channel, chat, path=r"^/(?P<room>\w+)$")], path=r"^/chat")])
    message = Message(channel=channel, path="/chat/kitchen")
    find(routes, channel, "/chat/kitchen").call(message)
    assert message["seen"] == (channel, "kitchen")
    assert find(routes, channel, "/other") is None


@pytest.mark.parametrize("channel", SOCKET)
@pytest.mark.parametrize("root_path", ["", "/site"])
def test_a_mounted_consumer_gets_the_messages_of_sockets_below_its_prefix(channel, root_path):
    routes = as_application([mount("/chat", chat)])
    message = Message(channel=channel, path="/chat/a")
    find(routes, channel, f"{root_path}/chat/a", root_path).call(message)
    assert message["seen"] == (channel, None)
    assert find(routes, channel, f"{root_path}/page", root_path) is None


def test_the_mount_point_is_in_the_message_that_asks_for_a_socket_alone():
    routes = as_application([mount("/chat", chat)])
    connect = Message(channel="websocket.connect", path="/chat/a", raw_path=b"/chat/a", root_path="")
    receive = Message(channel="websocket.receive", path="/chat/a")
    for message in (connect, receive):
        find(routes, message["channel"], "/chat/a").call(message)
    assert (connect["root_path"], "root_path" in receive) == ("/chat", False)


@pytest.mark.parametrize("application", [wsgi(page), [mount("/a", wsgi(page)), route("http.request", asgi(service))]])
@pytest.mark.parametrize("channel", SOCKET)
def test_applications_that_know_no_sockets_get_none(application, channel):
    made = as_application(application)
    assert [find(made, channel, path) for path in ("/a", "/b")] == [None, None]


@pytest.mark.parametrize("channel", SOCKET)
def test_an_asgi_application_gets_sockets_from_another_consumer_than_requests(channel):
    made = as_application([mount("/a", asgi(service))])
    sockets, requests = find(made, channel, "/a"), find(made, "http.request", "/a")
    assert sockets.target is requests.target
    assert sockets is find(made, SOCKET[0], "/a") is not requests
    assert made.consumers() == [requests]


@pytest.mark.parametrize("channel", SOCKET)
@pytest.mark.parametrize("application", [wsgi(page), asgi(service)])
def test_a_route_for_one_message_of_a_socket_is_refused_to_an_application(channel, application):
    with pytest.raises(ConsumerError, match=f"is for {channel} alone: an ASGI application takes whole sockets"):
        as_application(route(channel, application))
