"""Applications with sockets that do what a test says, and their events."""

import asyncio

from sockets import SocketClient

__all__ = [
    "ACCEPT", "CLOSE", "CONNECT", "App", "Stepped", "body", "left", "received", "serve", "start", "text",
]  # fmt: skip

ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close"}
CONNECT = {"type": "websocket.connect"}


def text(content):
    return {"type": "websocket.send", "text": content}


def received(content):
    return {"type": "websocket.receive", "text": content}


def left(code, reason=""):
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


def start(status=401):
    return {"type": "websocket.http.response.start", "status": status, "headers": [(b"x-a", b"b")]}


def body(content, more=False):
    return {"type": "websocket.http.response.body", "body": content, "more_body": more}


class App:
    """Send `events`, then receive until the end; "receive" among them receives one at once; remember everything."""

    def __init__(self, *events):
        self.events = events
        self.received = []
        self.error = None
        self.is_over = False

    async def __call__(self, scope, receive, send):
        self.scope, self.receive, self.send = scope, receive, send
        try:
            for event in self.events:
                if event == "receive":
                    self.received.append(await receive())
                else:
                    await send(event)
            while not self.received or self.received[-1]["type"] != "websocket.disconnect":
                self.received.append(await receive())
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.is_over = True


class Stepped(App):
    """Do what the test says, one step at a time, in the application's own task."""

    def __init__(self):
        super().__init__()
        self.steps = asyncio.Queue()

    async def __call__(self, scope, receive, send):
        self.receive, self.send = receive, send
        while True:
            step = await self.steps.get()
            if step is None:
                self.is_over = True
                return
            self.received.append(await step())

    def take(self, site, count=1):
        for _ in range(count):
            self.steps.put_nowait(self.receive)
            site.settle()

    def do(self, site, event):
        self.steps.put_nowait(lambda: self.send(event))
        site.settle()


def serve(make_site, app, *fields, path="/chat", **options):
    site = make_site(app, **options)
    return site, SocketClient(site, path, *fields)
