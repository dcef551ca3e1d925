"""Mistakes of ASGI applications: what is raised where, and what the client gets."""

import pytest
from asgi_apps import App, body, serve, start

from uvicorn.errors import ReplyError


async def nothing(scope, receive, send):
    pass


@pytest.mark.parametrize(
    "app",
    [
        nothing,
        App(start()),
        App(body(b"x")),
        App(start(), start()),
        App({"type": "websocket.accept"}),
        App(start(headers=[(b"a", b"b\r\nc: d")]), body()),
        App(start("200"), body()),
        App({"type": "http.response.start"}, body()),
        App(start(None), body()),
        App(start(0), body()),
        App(start(), body("text")),
    ],
    ids=range(11),
)
def test_a_response_that_cannot_be_sent_is_a_500(make_site, app):
    client = serve(make_site, app)
    assert client.statuses() == [500]
    assert client.site.log.take("error")


def test_a_mistake_is_raised_where_it_was_made(make_site):
    raised = []

    async def app(scope, receive, send):
        await send(start())
        await send(body(b"x"))
        try:
            await send(body(b"more"))
        except ReplyError as error:
            raised.append(str(error))

    assert serve(make_site, app).statuses() == [200]
    assert "complete" in raised[0]


def test_a_start_without_a_status_raises_where_it_was_made(make_site):
    raised = []

    async def app(scope, receive, send):
        try:
            await send({"type": "http.response.start"})
        except ReplyError as error:
            raised.append(str(error))
        await send(start(204))
        await send(body())

    assert serve(make_site, app).statuses() == [204]
    assert raised == ["http.response.start needs a status: 200 to 599"]


def test_an_error_after_the_head_closes_the_connection(make_site):
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"x", True))
        raise ValueError

    client = serve(make_site, app)
    assert not client.responses()[0].is_complete
    assert client.is_closed
    assert client.site.log.take("error")
