"""A WSGI application as a synchronous consumer.

The way of one call, all of it in the thread of the pool that took the request:

    message -> environ             environ.py, files.py
    application(environ, start_response)
    status and fields are kept until the first content, or the end
    each chunk -> reply_channel.send, which blocks while the client is behind (`write_buffer`)
    close() of what the application returned, whatever happened

A response that is complete with its first chunk - because the application said so, with a content-length or a list of
one - is sent as one reply. `close()` is called after it.

Spec: PEP 3333.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from io import BytesIO
from types import TracebackType
from typing import Any, Final, TypeAlias

from uvicorn.applications.environ import make_environ
from uvicorn.applications.files import FileWrapper, body_size, open_body
from uvicorn.bridge.consumer import name_of
from uvicorn.bridge.raw_socket import ThreadEnd
from uvicorn.errors import ConsumerError, ReplyError

__all__ = ["Response", "WSGIApplication"]

_CODES: Final = {str(code): code for code in range(100, 1000)}  # as an application writes them

ExcInfo: TypeAlias = "tuple[type[BaseException], BaseException, TracebackType | None]"


class WSGIApplication:
    """A consumer that calls a WSGI application for each message.

    Raises: ConsumerError if it is asynchronous, or cannot be called with two arguments.

    Attributes:
        takes_raw_sockets: it may speak WebSocket by itself; its message then has a `raw_socket`.
    """

    knows_no_sockets: Final = True  # nor any channel but http.request
    takes_raw_sockets: Final = True
    sends_at_once: Final = True  # a view is no consumer of messages: what it sends to groups is not deferred

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        name = name_of(application)
        if not callable(application):
            raise ConsumerError(f"{name} is not callable; a WSGI application is called with environ and start_response")
        if inspect.iscoroutinefunction(application) or inspect.iscoroutinefunction(type(application).__call__):
            raise ConsumerError(f"{name} is asynchronous, and a WSGI application is not")
        try:
            inspect.signature(application, follow_wrapped=False).bind(None, None)
        except TypeError:
            raise ConsumerError(
                f"{name} cannot be called with two arguments; a WSGI application takes environ and start_response"
            ) from None
        except ValueError:
            pass  # some builtins have no signature
        self.application = application
        self.__module__, _, self.__qualname__ = name.rpartition(".")  # how logs call it

    def __call__(self, message: Any, **_: Any) -> None:
        """Serve one request; named groups of its route are not used."""
        channel = message["reply_channel"]
        if message["body_channel"] is None:  # all of it is here, most often
            body = message["body"]
            environ = make_environ(message, len(body))
            environ["wsgi.input"] = BytesIO(body)
        else:
            environ = make_environ(message, body_size(message))
            environ["wsgi.input"] = open_body(message)
        environ["wsgi.early_hints"] = channel.hint
        response = Response(channel.send)
        if "raw_socket" in message:
            _serve_socket(self.application, environ, response, message["raw_socket"])
            return
        response.send_of(self.application, environ)


def _serve_socket(application: Any, environ: dict[str, Any], response: Response, end: ThreadEnd) -> None:
    """Call an application that may speak WebSocket by itself, over the socket that it finds in its environ.

    If it has written to that, what it returns is nothing for the client. flask-sock raises StopIteration then, where
    it takes the server for Gunicorn.
    """
    environ["werkzeug.socket"] = environ["gunicorn.socket"] = end.sock
    result: Any = None
    try:
        try:
            result = application(environ, response.start)
        except StopIteration:
            if not end.is_taken():
                raise
        if not end.is_taken():
            response.send_all(result)
    finally:
        try:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        finally:
            end.close()


class Response:
    """One response of a WSGI application."""

    __slots__ = ("_fields", "_has_begun", "_is_over", "_left", "_send", "_status")

    def __init__(self, send: Callable[[dict[str, Any]], Any]) -> None:
        self._send = send
        self._status = 0  # 0 until start_response was called
        self._fields: list[tuple[str, str]] = []
        self._left: int | None = None  # bytes that a content-length still wants, once there are several parts
        self._has_begun = False  # the head is on its way
        self._is_over = False  # the last part is on its way

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], None]:
        """The application's `start_response`.

        Raises: what `exc_info` holds, if the head is on its way already; ReplyError for a second call without it, and
            for a status that is none.
        """
        if exc_info is not None:
            try:
                if self._has_begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # or this frame and its traceback would hold each other
        elif self._status:
            raise ReplyError("start_response was called twice, the second time without exc_info")
        code = _code_of(status)
        self._fields = headers if type(headers) is list else list(headers)
        self._status = code  # not before: with fields that cannot be read this was no call
        return self.write

    def write(self, data: bytes) -> None:
        """The `write` that `start_response` returns: send at once. Blocks: while the client is behind."""
        if data:
            if not self._has_begun:
                self._left = _promised(self._fields)
            if self._left is not None:
                self._left -= len(data)
            self._put(data, self._left is None or self._left > 0)

    def send_of(self, application: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> None:
        """Call an application, send what it returns, and close that. Raises, Blocks: as `send_all`."""
        result = application(environ, self.start)
        try:
            self.send_all(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def send_all(self, result: Iterable[bytes]) -> None:
        """Send what the application returned, each part as it comes.

        Raises: ReplyError for what is no response, ChannelClosed if the client left, what the application raises.
        Blocks: while the client is behind.
        """
        if type(result) in (list, tuple) and len(result) == 1:  # type: ignore[arg-type]
            self._put(result[0], False)  # type: ignore[index]
            return
        if type(result) is FileWrapper and self._send_file(result):
            return
        for data in result:
            self.write(data)
        if not self._is_over:
            self._put(b"", False)

    def _send_file(self, wrapper: FileWrapper) -> bool:
        """Send what is left of a real file, for the server to read; return whether it is one."""
        if not self._status:
            return False
        if not self._has_begun:
            self._left = _promised(self._fields)
        file = wrapper.opened(self._left)
        if file is None:
            return False
        reply: dict[str, Any] = {"file": file}
        if not self._has_begun:
            reply.update(status=self._status, headers=self._fields)
            self._has_begun = True
        self._is_over = True
        self._send(reply)
        return True

    def _put(self, data: bytes, more: bool) -> None:
        if self._has_begun:
            reply: dict[str, Any] = {"content": data, "more_content": more}
        else:
            if not self._status:
                raise ReplyError("a WSGI application must call start_response before its first content")
            reply = {"status": self._status, "headers": self._fields, "content": data}
            if more:
                reply["more_content"] = True
            self._has_begun = True
        self._is_over = not more
        self._send(reply)


def _code_of(status: object) -> int:
    text = str(status) if isinstance(status, str) else ""
    code = _CODES.get(text[:3]) if text[3:4] in ("", " ") else None
    if code is None:
        raise ReplyError(f"the status of a WSGI response must be like '200 OK', not {status!r}")
    return code


def _promised(headers: Iterable[tuple[str, str]]) -> int | None:
    """Return the content-length among these fields; a wrong one is for the reply channel to refuse."""
    for name, value in headers:
        if len(name) == 14 and name.lower() == "content-length" and value.isdecimal():
            return int(value)
    return None
