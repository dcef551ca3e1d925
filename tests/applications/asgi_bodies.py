"""Requests with a body, and ASGI applications that read it or answer before it."""

from asgi_apps import body, start

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECT = b"Expect: 100-continue\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
DISCONNECT = {"type": "http.disconnect"}


def post(length=None, fields=b""):
    framing = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
    return b"POST /a HTTP/1.1\r\nHost: a\r\n%b\r\n%b\r\n" % (framing, fields)


def chunk(content):
    return b"%x\r\n%b\r\n" % (len(content), content)


LAST = chunk(b"")


def part(content, more):
    return {"type": "http.request", "body": content, "more_body": more}


class Reader:
    """Receive the whole body, and answer with its length."""

    def __init__(self):
        self.events = []
        self.calls = 0

    async def __call__(self, scope, receive, send):
        self.calls += 1
        size, more = 0, True
        while more:
            self.events.append(await receive())
            if self.events[-1] == DISCONNECT:
                return
            size += len(self.events[-1]["body"])
            more = self.events[-1]["more_body"]
        await send(start())
        await send(body(b"%d" % size))


class Early:
    """Answer at once, without a look at the body, and then receive."""

    def __init__(self, status=401):
        self.status = status
        self.events = []

    async def __call__(self, scope, receive, send):
        await send(start(self.status))
        await send(body(b"no"))
        self.events.append(await receive())
