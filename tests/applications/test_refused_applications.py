"""A request of an ASGI application that found no thread: 503 in place of what the application makes of it."""

import sys
from types import SimpleNamespace

import pytest
from test_asgi import body, serve, start

from uvicorn.bridge.work import work_now
from uvicorn.errors import ChannelFull

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup  # type: ignore[import-not-found, unused-ignore]


class Refused:
    """An application that is refused a thread, and then does something."""

    def __init__(self, *events, raises=None, before=()):
        self.events, self.raises, self.before = events, raises, before

    async def __call__(self, scope, receive, send):
        for event in self.before:
            await send(event)
        work_now().is_refused = True
        for event in self.events:
            await send(event)
        if self.raises is not None:
            raise self.raises


@pytest.fixture
def ask(make_site):
    def ask(app):
        site = make_site(app)
        [consumer] = site.service.application.consumers()
        consumer.target.threads = SimpleNamespace()
        client = site.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        return client.take().decode("latin-1"), site.log.take("error")

    return ask


GROUP = BaseExceptionGroup("several", [ChannelFull("full"), KeyError("x")])


@pytest.mark.parametrize(
    "app",
    [
        Refused(raises=ChannelFull("full")),
        Refused(raises=GROUP),
        Refused(start(500), body(b"Internal Server Error")),
        Refused(start(500), body(b"Internal ", True), body(b"Server Error"), raises=ChannelFull("full")),
    ],
    ids=["raises", "group", "answers", "answers and raises"],
)
def test_it_is_answered_with_503(ask, app):
    answer, errors = ask(app)
    assert answer.startswith("HTTP/1.1 503 ")
    assert "retry-after: 1\r\n" in answer
    assert answer.count("HTTP/1.1") == 1
    assert errors == []


def test_an_application_that_can_do_without_gives_its_own_answer(ask):
    answer, _ = ask(Refused(start(200), body(b"from the cache")))
    assert answer.startswith("HTTP/1.1 200 ")
    assert answer.endswith("from the cache")


def test_a_response_that_has_begun_is_broken_off(ask):
    answer, errors = ask(Refused(before=[start(200), body(b"begun", True)], raises=ChannelFull("full")))
    assert len(errors) == 1
    assert answer.startswith("HTTP/1.1 200 ")
    assert "503" not in answer
    assert not answer.endswith("0\r\n\r\n")


def test_what_finds_another_channel_full_is_answered_with_503(make_site):
    async def fail(scope, receive, send):
        raise ChannelFull("of something else")

    client = serve(make_site, fail)
    assert client.take().startswith(b"HTTP/1.1 503 ")
    assert client.site.log.take("error") == []


def test_any_other_failure_is_its_own(make_site):
    async def fail(scope, receive, send):
        raise KeyError("x")

    client = serve(make_site, fail)
    assert client.take().startswith(b"HTTP/1.1 500 ")
    assert len(client.site.log.take("error")) == 1
