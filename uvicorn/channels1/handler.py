"""Django's view system as a consumer: `ViewConsumer`, `AsgiHandler`, `AsgiRequest`.

A request is made of a message, its body read as a file while the view wants it; a response is made the replies for it.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Iterator
from typing import IO, Any, Final

from django.conf import settings
from django.core import signals
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.http import HttpResponse, HttpResponseBadRequest
from django.urls import set_script_prefix

from uvicorn.applications.files import open_body
from uvicorn.channels1.exceptions import RequestAborted, RequestTimeout
from uvicorn.channels1.exceptions import ResponseLater as _ResponseLater

__all__ = ["AsgiHandler", "AsgiRequest", "ViewConsumer"]

_log: Final = logging.getLogger("django.request")
_POLL_SECONDS: Final = 0.01


class AsgiRequest(ASGIRequest):  # type: ignore[misc]  # Django has no types
    """Django's request for a message.

    Args:
        message: of an http.request or websocket.connect; what it does not say has Django's defaults.

    Attributes:
        message, reply_channel: for a view that leaves its response to a consumer (`ResponseLater`).

    Raises: RequestAborted, RequestTimeout for a body that a test sends in pieces; UnicodeDecodeError.
    """

    ResponseLater = _ResponseLater
    body_receive_timeout = 60  # seconds

    def __init__(self, message: Any) -> None:
        self.message = message
        self.reply_channel = message.reply_channel
        super().__init__(_scope_of(message), self._body_of(message))

    def _body_of(self, message: Any) -> IO[bytes]:
        body, channel = message.get("body") or b"", message.get("body_channel")
        if not isinstance(channel, (str, bytes)):
            return open_body({"body": body, "body_channel": channel})
        end = time.monotonic() + self.body_receive_timeout
        chunk: Any = {"more_content": True}
        while chunk.get("more_content"):
            _, chunk = message.channel_layer.receive([channel], block=True)
            if chunk is None:
                if time.monotonic() > end:
                    raise RequestTimeout("the body did not come in time")
                time.sleep(_POLL_SECONDS)
                chunk = {"more_content": True}
            elif chunk.get("closed"):
                raise RequestAborted("the client left before the body was complete")
            body += chunk.get("content") or b""
        return io.BytesIO(body)


class AsgiHandler(BaseHandler):  # type: ignore[misc]  # Django has no types
    """Django's middleware and views: a message in, replies out.

    Attributes:
        chunk_size: bytes; a larger response is cut.
    """

    request_class = AsgiRequest
    chunk_size = 512 * 1024

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware()

    def __call__(self, message: Any) -> Iterator[dict[str, Any]]:
        """Yield the replies for a request; none if the view leaves them to another consumer, or the client has left."""
        set_script_prefix(settings.FORCE_SCRIPT_NAME or message.get("root_path") or "/")
        signals.request_started.send(sender=type(self), message=message)
        request = None
        try:
            request = self.request_class(message)
            response = self.get_response(request)
        except UnicodeDecodeError:
            _log.warning("Bad Request (UnicodeDecodeError)", exc_info=True, extra={"status_code": 400})
            response = HttpResponseBadRequest()
        except RequestTimeout:
            response = HttpResponse("408 Request Timeout (upload too slow)", status=408)
        except RequestAborted:
            signals.request_finished.send(sender=type(self))
            return
        try:
            if getattr(request, "is_answered_later", False):
                message.reply_channel.name  # noqa: B018  # to read it keeps the channel
                return
            if hasattr(response, "block_size"):  # of a file
                response.block_size = self.chunk_size
            yield from self._encoded(response)
        finally:
            response.close()

    def process_exception_by_middleware(self, exception: Exception, request: Any) -> Any:
        """Note that the response comes later.

        The middleware sees an empty one: it would make an error of an exception.
        """
        if isinstance(exception, _ResponseLater):
            request.is_answered_later = True
            return HttpResponse(status=204)
        return super().process_exception_by_middleware(exception, request)

    @classmethod
    def encode_response(cls, response: Any) -> Iterator[dict[str, Any]]:
        """Yield the replies for a Django response, to be given to `message.reply_channel.send` one by one.

        Args:
            response: an HttpResponse, or a streaming one; it is closed at the end.
        """
        yield from cls._encoded(response)
        response.close()

    @classmethod
    def _encoded(cls, response: Any) -> Iterator[dict[str, Any]]:
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
        headers += [(b"Set-Cookie", cookie.OutputString().encode("latin-1")) for cookie in response.cookies.values()]
        reply: dict[str, Any] = {"status": response.status_code, "headers": headers}
        if not response.streaming:
            parts = cls.chunk_bytes(response.content)
        else:
            parts = ((piece, False) for part in response for piece, _ in cls.chunk_bytes(part))
        is_last = False
        for content, is_last in parts:
            yield {**reply, "content": content, "more_content": not is_last}
            reply = {}
        if not is_last:
            yield {**reply, "content": b"", "more_content": False}

    @classmethod
    def chunk_bytes(cls, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Yield pieces of at most `chunk_size` bytes, each with whether it is the last one."""
        for start in range(0, len(data) or 1, cls.chunk_size):
            yield data[start : start + cls.chunk_size], start + cls.chunk_size >= len(data)


class ViewConsumer:
    """A consumer that has Django's views answer."""

    handler_class = AsgiHandler
    sends_at_once = True  # what a view sends to groups and channels waits for nothing

    def __init__(self) -> None:
        self.handler = self.handler_class()

    def __call__(self, message: Any) -> None:
        """Answer a request."""
        for reply in self.handler(message):
            message.reply_channel.send(reply, immediately=True)


def _scope_of(message: Any) -> dict[str, Any]:
    """Return what Django makes its request of."""
    query = message.get("query_string") or b""
    headers = message.get("headers") or ()
    if isinstance(headers, dict):
        headers = headers.items()
    return {
        "type": "http",
        "method": message.get("method") or "GET",
        "path": message["path"],
        "root_path": message.get("root_path") or "",
        "scheme": message.get("scheme") or "http",
        "query_string": query if isinstance(query, bytes) else query.encode("utf-8"),
        "headers": [(_bytes_of(name), _bytes_of(value)) for name, value in headers],
        "client": message.get("client"),
        "server": message.get("server") or ("unknown", "0"),
    }


def _bytes_of(text: str | bytes) -> bytes:
    return text.encode("latin-1") if isinstance(text, str) else text
