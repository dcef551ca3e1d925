"""For whom an ASGI application works when it hands something to threads: its request, or nobody any more."""

import asyncio
from types import SimpleNamespace

import pytest
from asgi_apps import GET, App, body, start

from uvicorn import ChannelClosed
from uvicorn.bridge.work import work_now


class Later:
    """An application that leaves a task behind; the task asks for whom it works when the test wants it."""

    def __init__(self, *events):
        self.events, self.works, self.go_on = events, [], asyncio.Event()

    async def __call__(self, scope, receive, send):
        self.task = asyncio.ensure_future(self.go())
        self.send = send
        for event in self.events:
            await send(event)
            self.works.append(work_now().is_answered if event["type"].endswith("body") else None)

    async def go(self):
        await self.go_on.wait()
        self.works.append(work_now().is_outside)


def serve_with_threads(make_site, app):
    site = make_site(app)
    [consumer] = site.service.application.consumers()
    consumer.target.threads = SimpleNamespace()
    client = site.connect()
    client.send(GET)
    return client


def test_a_request_that_hands_nothing_to_threads_has_nothing_made_for_that(make_site, monkeypatch):
    made = []
    monkeypatch.setattr("uvicorn.applications.asgi_call.Work", made.append)
    client = serve_with_threads(make_site, App(start(), body(b"page")))
    assert client.statuses() == [200]
    assert made == []


def test_what_is_asked_for_after_the_response_is_that_of_background_tasks(make_site):
    app = Later(start(), body(b"page"))
    client = serve_with_threads(make_site, app)
    assert client.statuses() == [200]
    assert app.works == [None, True]


@pytest.mark.parametrize("events", [(), (start(), body(b"page"))], ids=["not answered", "answered"])
def test_a_task_that_is_left_behind_works_for_no_request_and_keeps_no_client_waiting(make_site, events):
    app = Later(*events)
    client = serve_with_threads(make_site, app)
    assert client.statuses() == [200 if events else 500]
    app.go_on.set()
    client.site.settle()
    assert app.works[-1] is True
    with pytest.raises(ChannelClosed):
        client.site.loop.run_until_complete(app.send(body(b"more")))
    assert len(client.site.log.take("error")) == (0 if events else 1)
