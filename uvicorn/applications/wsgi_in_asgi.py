"""A WSGI application as an ASGI application, to be mounted in a framework's.

This server serves WSGI applications itself, and better: in threads of their own pool, without a step through ASGI. This
is for `app.mount("/old", WSGIMiddleware(old))` in an ASGI framework; the name under which others import it is
`uvicorn.middleware.wsgi.WSGIMiddleware`.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterable
from typing import IO, Any, Final

from uvicorn.applications.environ import make_environ
from uvicorn.applications.files import BlockWrapper
from uvicorn.applications.wsgi import Response
from uvicorn.errors import ChannelClosed

__all__ = ["WSGIMiddleware"]

_MEMORY: Final = 524288  # bytes of a body; past it there is a temporary file


class WSGIMiddleware:
    """An ASGI application that calls a WSGI application in a thread.

    Args:
        workers: taken for those who give it; the threads are the loop's, which under this server are its pools'.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]], workers: int = 10) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request; a WebSocket is refused."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            raise ValueError(f"a WSGI application has no {scope['type']}")
        with tempfile.SpooledTemporaryFile(_MEMORY) as body:
            while True:
                event = await receive()
                if event["type"] == "http.disconnect":
                    return
                body.write(event.get("body", b""))
                if not event.get("more_body", False):
                    break
            size = body.tell()
            body.seek(0)
            call = _Call(self.app, scope, body, size, send)
            try:
                await asyncio.to_thread(call.run)
            finally:
                call.is_over = True


class _Call:
    """One request. Made on: the loop."""

    def __init__(self, app: Callable[..., Iterable[bytes]], scope: Any, body: IO[bytes], size: int, send: Any) -> None:
        self.is_over = False  # nobody waits for it any more
        self._app = app
        self._scope = scope
        self._body = body
        self._size = size
        self._send = send
        self._has_begun = False
        self._loop = asyncio.get_running_loop()

    def run(self) -> None:
        """Call the application. Runs on: a thread. Blocks: while the client is behind."""
        scope = self._scope
        environ = make_environ(
            {
                "method": scope["method"],
                "path": scope["path"],
                "raw_path": scope.get("raw_path") or scope["path"].encode("utf-8", "surrogateescape"),
                "query_string": scope.get("query_string", b""),
                "root_path": scope.get("root_path", ""),
                "scheme": scope.get("scheme", "http"),
                "http_version": scope.get("http_version", "1.1"),
                "headers": scope["headers"],
                "client": scope.get("client"),
                "server": scope.get("server"),
            },
            self._size,
        )
        environ["wsgi.input"] = self._body
        environ["wsgi.errors"] = sys.stderr
        environ["wsgi.file_wrapper"] = BlockWrapper
        Response(self._reply).send_of(self._app, environ)

    def _reply(self, reply: dict[str, Any]) -> None:
        if self.is_over:
            raise ChannelClosed("the client has left")
        asyncio.run_coroutine_threadsafe(self._forward(reply), self._loop).result()

    async def _forward(self, reply: dict[str, Any]) -> None:
        if not self._has_begun:
            self._has_begun = True
            headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply["headers"]]
            await self._send({"type": "http.response.start", "status": reply["status"], "headers": headers})
        content, more = reply.get("content", b""), reply.get("more_content", False)
        await self._send({"type": "http.response.body", "body": content, "more_body": more})
