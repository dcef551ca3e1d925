"""The consumers of a Channels 1 tutorial, after changing their imports only."""

import pytest
from django.conf import settings

from uvicorn import include, route, route_class
from uvicorn.channels1 import AsgiHandler, BaseConsumer, channel_session

if not settings.configured:
    settings.configure(DEFAULT_CHARSET="utf-8")

from django.http import HttpResponse, StreamingHttpResponse


def http_consumer(message):
    response = HttpResponse(f"Hello world! You asked for {message.content['path']}")
    response.set_cookie("seen", "yes")
    for chunk in AsgiHandler.encode_response(response):
        message.reply_channel.send(chunk)


@channel_session
def with_session(message, room):
    message.channel_session["room"] = room
    message.reply_channel.send({"status": 200, "content": message.channel_session["room"].encode()})


class Page(BaseConsumer):
    method_mapping = {"http.request": "respond"}
    greeting = "page"
    channel_session = True

    def respond(self, message, **kwargs):
        content = f"{self.greeting} {kwargs['number']} {self.kwargs == kwargs} {self.message is message}"
        message.reply_channel.send({"status": 200, "content": content.encode()})


def streamed(message):
    for reply in AsgiHandler.encode_response(StreamingHttpResponse(iter([b"a", b"b" * 1_000_000]))):
        message.reply_channel.send(reply)


def empty(message):
    for reply in AsgiHandler.encode_response(HttpResponse(status=204)):
        message.reply_channel.send(reply)


chat_routing = [route("http.request", with_session, path=r"^/room/(?P<room>\w+)/$")]

channel_routing = [
    include(chat_routing, path=r"^/chat"),
    route_class(Page, path=r"^/page/(?P<number>\d+)$"),
    Page.as_route(path=r"^/other/(?P<number>\d+)$", attrs={"greeting": "other"}),
    route("http.request", streamed, path="^/streamed$"),
    route("http.request", empty, path="^/empty$"),
    route("http.request", http_consumer),
]


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/any", 200, b"Hello world! You asked for /any"),
        ("/chat/room/one/", 200, b"one"),
        ("/page/7", 200, b"page 7 True True"),
        ("/other/8", 200, b"other 8 True True"),
        ("/streamed", 200, b"a" + b"b" * 1_000_000),
        ("/empty", 204, b""),
    ],
)
def test_the_consumers_of_a_tutorial_run(make_site, path, status, body):
    site = make_site(channel_routing, write_buffer=1 << 22)
    client = site.connect()
    client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    site.run_job(in_thread=True)
    [response] = client.responses()
    assert (response.status, response.body) == (status, body)
    if path == "/any":
        assert response.headers["set-cookie"] == "seen=yes; Path=/"


def test_a_class_names_its_channels():
    assert Page.channel_names() == {"http.request"}
